# shellcheck shell=bash disable=SC2034,SC2154 # model_folder comes from, the tools' names go to, who sources this
# Sourced by each model's env.sh: the project's environment, CANN where it is installed, and the tools to use.
# Sets BENCHMARK, MSAME and AIS_INFER (bash arrays: a command and its first arguments) and MODEL_SUFFIX (om or onnx).
# Sourcing it twice changes nothing more. model_folder: the folder of the env.sh that sources this.

_prepend() { # _prepend VARIABLE FOLDER: put FOLDER in front of a path list, unless it is in there
    case ":${!1-}:" in
        *":$2:"*) ;;
        *) printf -v "$1" '%s' "$2${!1:+:${!1}}"; export "${1?}" ;;
    esac
}

# The project's environment: of the collection this folder stands in, else the one that is active.
if [[ -L "$model_folder/common" && -x "$model_folder/../.venv/bin/python" ]]; then
    _prepend PATH "$(cd "$model_folder/.." && pwd)/.venv/bin"
fi
_prepend PYTHONPATH "$model_folder"

# CANN: the variable it sets itself, else its usual places.
_cann=none
if [[ -n ${ASCEND_HOME_PATH-} && -d $ASCEND_HOME_PATH ]]; then
    _cann=$ASCEND_HOME_PATH
elif [[ -f /usr/local/Ascend/ascend-toolkit/set_env.sh ]]; then
    set +u # CANN's own script reads variables that may be unset
    # shellcheck source=/dev/null
    . /usr/local/Ascend/ascend-toolkit/set_env.sh
    _cann=${ASCEND_HOME_PATH-/usr/local/Ascend/ascend-toolkit/latest}
elif [[ -d /usr/local/Ascend/ascend-toolkit/latest/atc ]]; then
    _cann=/usr/local/Ascend/ascend-toolkit/latest # before CANN 5.1: no set_env.sh that knows all of it
    _prepend PATH "$_cann/atc/ccec_compiler/bin"
    _prepend PATH "$_cann/atc/bin"
    _prepend PYTHONPATH "$_cann/atc/python/site-packages"
    _prepend LD_LIBRARY_PATH "$_cann/atc/lib64"
    _prepend LD_LIBRARY_PATH "$_cann/acllib/lib64"
    export ASCEND_OPP_PATH=$_cann/opp
fi

_find() { # _find NAME...: the first of these programs in the model's folder or on PATH, with its whole path
    local name
    for name in "$@"; do
        if [[ -x $model_folder/$name ]]; then echo "$model_folder/$name"; return; fi
        if command -v "$name" >/dev/null; then command -v "$name"; return; fi
    done
}

# An NPU counts as there when its driver's tool sees it; without one, ONNX Runtime stands in for the tools.
BENCHMARK=(python3 -m common.benchmark)
MSAME=(python3 -m common.msame)
AIS_INFER=(python3 -m common.ais_infer)
MODEL_SUFFIX=onnx
_npu=no
if command -v npu-smi >/dev/null && npu-smi info >/dev/null 2>&1; then
    _npu=yes
    MODEL_SUFFIX=om
    BENCHMARK=("$(_find "benchmark.$(uname -m)" benchmark)")
    MSAME=("$(_find msame)")
    AIS_INFER=("$(_find ais_infer)")
    if [[ -z ${AIS_INFER[0]} ]]; then AIS_INFER=(python3 -m ais_bench); fi
fi
if [[ $_npu == yes ]]; then
    echo "env: CANN $_cann, NPU there; benchmark: ${BENCHMARK[0]:-not found}, msame: ${MSAME[0]:-not found}"
else
    echo "env: CANN $_cann, no NPU; ONNX Runtime stands in for benchmark, msame and ais_infer"
fi

require_gpu() { # end the script unless nvidia-smi finds a GPU
    if ! nvidia-smi -L 2>/dev/null | grep -q .; then
        echo "error: no NVIDIA GPU on this machine (nvidia-smi finds none); this figure can only be taken on one" >&2
        exit 1
    fi
}
