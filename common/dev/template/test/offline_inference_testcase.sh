#!/usr/bin/env bash
# ModelZoo's self-test: function, accuracy and performance on made-up data, in minutes.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/offline_inference_testcase.sh
Takes minutes. Ends in «Run testcase success!» (exit status 0) or «Run testcase failed!» (1).
END
}
# for a machine with an NPU: what test/eval_acc_perf.sh is given
# shellcheck disable=SC2034 # self_test reads it
evaluate=(--datasets_path=build_testcase/demo --pth=build_testcase/checkpoint.pth --loop=10)
# for a folder without Makefile
draw() {
    python3 -m common.data.demo.shapes build_testcase/demo --count 3
}
# shellcheck disable=SC2034
seeded=(width=4)
script_options=('') # none
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
self_test
