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
evaluate=(--datasets_path=build_testcase/demo --load_pretrain=build_testcase/checkpoint.pth --input=labels)
# for a folder without Makefile
draw() {
    python3 -m common.data.demo.streets build_testcase/demo --count 1
    python3 datasets_deal.py build_testcase/demo/test_inst build_testcase/demo/test_label build_testcase/demo/gtFine/val
}
# shellcheck disable=SC2034
seeded=(ngf=1 global_blocks=1 local_blocks=1)
script_options=('') # none
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
self_test
