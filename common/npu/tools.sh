# shellcheck shell=bash disable=SC2034,SC2154 # FP16 goes to the scripts, MODEL_SUFFIX and model_folder are env.sh's
# Sourced by common/npu/env.sh: running the inference tools in test/eval_acc_perf.sh and test/perf_t4.sh. A failure is one
# line and ends the script.

no_tool() { # no_tool NAME: for a machine with an NPU that has neither the tool that the reference used nor ais_bench
    echo "error: neither $1 nor ais_bench is on this machine; put $1 on PATH or in $model_folder, or install the" \
        "wheels aclruntime and ais_bench of Ascend's tools (pip's own ais_bench is another program)" >&2
    exit 1
}

on_devices() { # on_devices IDS: set SPLIT, which a tool's line begins with, and DUMP, benchmark's folder in result then
    SPLIT=() DUMP=dumpOutput_device0
    [[ -n $1 ]] || return 0
    [[ $1 =~ ^[0-9]+(,[0-9]+)*$ ]] || { echo "error: --devices: expected ids such as 0,1,2,3, found $1" >&2; exit 2; }
    python3 -c 'import common.devices' 2>/dev/null || {
        echo "error: --devices: this folder has no common/devices; the collection that it comes from has it" >&2
        exit 1
    }
    SPLIT=(python3 -m common.devices --model . "$1" --) DUMP=dumpOutput_devices
}

run_tool() { # run_tool COMMAND...
    local status=0 name=${1##*/}
    "$@" || status=$?
    [[ $status != 0 ]] || return 0
    [[ $name != python3 ]] || name=$3 # python3 -m MODULE
    # ONNX Runtime's stand-ins, and what splits a dataset, have said in one line what is wrong
    [[ $MODEL_SUFFIX == onnx || $name == common.* ]] || echo "error: $name ended with status $status; its own messages say why" >&2
    exit 1
}

keep_results() { # keep_results TOOL FOLDER: link result/latest to where in result/FOLDER the tool left its result files
    # the exit status of msame proves nothing; it and ais_infer name a folder after the date, which is looked for
    local place=$2
    if [[ $2 != dumpOutput_device* ]]; then
        place=$(python3 -m common.data.result_files newest "result/$2" 2>/dev/null) || place=''
        place=${place#result/}
    fi
    if [[ -z $place ]] || ! compgen -G "result/$place/*.bin" >/dev/null; then
        echo "error: $1 left no results in result/$2; its own messages say why" >&2
        exit 1
    fi
    ln -sfn "$place" result/latest
}

summary_of() { # summary_of FOLDER: the summary of ais_infer's run in FOLDER
    local place
    place=$(python3 -m common.data.result_files newest "$1") || exit 1
    if [[ -f $place/sumary.json ]]; then echo "$place/sumary.json"; else echo "${place}_summary.json"; fi
}

require_gpu() { # nvidia-smi must find a GPU
    if ! nvidia-smi -L 2>/dev/null | grep -q .; then
        echo "error: no NVIDIA GPU on this machine (nvidia-smi finds none); this figure can only be taken on one" >&2
        exit 1
    fi
}

gpu_device() { # the DEVICE= of ONNX Runtime on a GPU: its TensorRT provider, else CUDA's, whose absence is told by name
    local providers='import onnxruntime; print(onnxruntime.get_available_providers())'
    if [[ $(python3 -c "$providers" 2>/dev/null) == *TensorrtExecutionProvider* ]]; then echo tensorrt; else echo cuda; fi
}

half_precision() { # set FP16 to trtexec's flag for half precision; TensorRT 11 has none, the model's own types count
    local help
    FP16=(--fp16)
    help=$(trtexec --help 2>&1) || true
    if [[ $help == *--onnx* && $help != *--fp16* ]]; then
        FP16=()
        echo "note: this trtexec has no --fp16, so the figure is of float32; for half precision give a model that is" \
             "converted before (ModelOpt's AutoCast)"
    fi
}
