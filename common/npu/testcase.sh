# shellcheck shell=bash
# Sourced by each model's test/offline_inference_testcase.sh: ModelZoo's self-test, on made-up data and the demo's weights.
# Function: the whole way, from checkpoint to result files. Accuracy: agreement with PyTorch. Performance: it is measured.
# model_folder: the model's folder. draw: a function that makes up the data, and seeded: the widths of a narrow network,
# for a folder without Makefile. evaluate: the options of test/eval_acc_perf.sh for these data and weights, for a
# machine with an NPU, where the .om is tested too.
# What it makes lies in build_testcase, which is made anew; with an NPU also where eval_acc_perf.sh leaves its files.

# shellcheck disable=SC2154 # the script that sources this one sets them
testcase_parts() {
    cd "$model_folder" || return 1
    . ./env.sh || return 1
    # what steers a run from outside must not steer this one
    unset DATASETS_PATH PTH SOURCE SIZE BATCH INPUT MAKEFLAGS MFLAGS MAKELEVEL B
    rm -rf build_testcase
    if [[ ! -f Makefile ]]; then # a folder for ModelZoo: its own scripts, which hold the outputs to PyTorch's
        echo "== function, accuracy and performance =="
        LIMIT='' draw || return 1
        python3 -m common.convert.seed --output build_testcase/checkpoint.pth "${seeded[@]/#/--set=}" || return 1
        LIMIT=2 bash test/eval_acc_perf.sh "${evaluate[@]}" || return 1
        return
    fi
    echo "== function =="
    LIMIT=2 make report.json B=build_testcase ROUND=3 LOOP=3 || return 1
    local om=()
    if [[ $MODEL_SUFFIX == om ]]; then
        LIMIT=2 bash test/eval_acc_perf.sh "${evaluate[@]}" || return 1
        om=(OM_RESULT=result/latest)
    fi
    echo "== accuracy =="
    LIMIT=2 make compare B=build_testcase ROUND=3 LOOP=3 ${om[@]+"${om[@]}"} || return 1
    echo "== performance =="
    python3 -m common.npu.testcase build_testcase || return 1
}

case ${1-} in
    '') ;;
    --help|-h)
        echo "usage: bash test/offline_inference_testcase.sh"
        echo "Takes minutes. Ends in «Run testcase success!» (exit status 0) or «Run testcase failed!» (1)."
        exit 0 ;;
    *)
        echo "error: unknown option $1" >&2
        echo "usage: bash test/offline_inference_testcase.sh" >&2
        exit 2 ;;
esac
if (testcase_parts); then
    echo "Run testcase success!"
else
    echo "Run testcase failed!"
    exit 1
fi
