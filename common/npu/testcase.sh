# shellcheck shell=bash disable=SC2154 # model_folder, evaluate and seeded are set by who sources this
# Sourced by env.sh, for each model's test/offline_inference_testcase.sh: ModelZoo's self-test, on made-up data.
# Function: the whole way, from checkpoint to result files. Accuracy: agreement with PyTorch. Performance: it is measured.
# draw: a function that makes up the data, and seeded: the widths of a narrow network, for a folder without Makefile.
# evaluate: the options of test/eval_acc_perf.sh for these data and weights, for a machine with an NPU, where the .om is
# tested too.
# What it makes lies in build_testcase, which is made anew; with an NPU also where eval_acc_perf.sh leaves its files.
testcase_parts() {
    # what steers a run from outside must not steer this one
    unset DATASETS_PATH PTH SOURCE SIZE BATCH INPUT MAKEFLAGS MFLAGS MAKELEVEL B
    rm -rf build_testcase
    echo "== function, accuracy and performance =="
    if [[ -f Makefile ]]; then # a folder that make goes through
        LIMIT=2 make testcase B=build_testcase ROUND=3 LOOP=3 || return 1
        [[ $MODEL_SUFFIX == om ]] || return 0
    else # a folder for ModelZoo
        LIMIT='' draw || return 1
        python3 -m common.convert.seed --output build_testcase/checkpoint.pth "${seeded[@]/#/--set=}" || return 1
    fi
    LIMIT=2 bash test/eval_acc_perf.sh "${evaluate[@]}" || return 1 # which holds the outputs to PyTorch's
    [[ ! -f Makefile ]] || LIMIT=2 make compare B=build_testcase ROUND=3 LOOP=3 OM_RESULT=result/latest || return 1
}

self_test() {
    if (testcase_parts); then
        echo "Run testcase success!"
    else
        echo "Run testcase failed!"
        exit 1
    fi
}
