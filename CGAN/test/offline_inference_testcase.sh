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
evaluate=(--pth=build_testcase/checkpoint.pth)
# for a folder without Makefile
draw() { :; } # the noise is made by preprocess
# shellcheck disable=SC2034
seeded=(hidden=16 wide=8 narrow=4)
script_options=('') # none
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
self_test
