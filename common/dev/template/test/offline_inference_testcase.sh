#!/usr/bin/env bash
# ModelZoo's self-test: function, accuracy and performance on made-up data, in minutes.
set -euo pipefail
model_folder=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# for a machine with an NPU: what test/eval_acc_perf.sh is given
# shellcheck disable=SC2034 # common/npu/testcase.sh reads it
evaluate=(--datasets_path=build_testcase/demo --pth=build_testcase/checkpoint.pth --loop=10)
# for a folder without Makefile
draw() {
    python3 -m common.data.demo nuclei build_testcase/demo --count 3
}
# shellcheck disable=SC2034
seeded=("filters=4,8,8,8,8")
common=$model_folder/common
[[ -d $common ]] || common=$(python3 -c 'import common; print(common.__path__[0])')
# shellcheck source=common/npu/testcase.sh
. "$common/npu/testcase.sh"
