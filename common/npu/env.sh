# shellcheck shell=bash disable=SC2034,SC2154 # model_folder comes from, the tools' names go to, who sources this
# Sourced by each model's env.sh: the project's environment, CANN where it is installed, and the tools to use.
# Sets BENCHMARK, MSAME and AIS_INFER (bash arrays: a command and its first arguments, or one empty word where an NPU's
# tool is not there) and MODEL_SUFFIX (om or onnx).
# Sourcing it twice changes nothing more. model_folder: the folder of the env.sh that sources this. A script that has
# declared its options (options.sh) has them read first, and goes on in that folder.
if [[ -n ${script_options+declared} ]]; then
    # shellcheck source=common/npu/options.sh
    . "$(dirname "${BASH_SOURCE[0]}")/options.sh"
    read_options "$@"
    CDPATH='' cd "$model_folder" || exit
fi

_prepend() { # _prepend VARIABLE FOLDER: put FOLDER in front of a path list, unless it is in there
    case ":${!1-}:" in
        *":$2:"*) ;;
        *) printf -v "$1" '%s' "$2${!1:+:${!1}}"; export "${1?}" ;;
    esac
}

# Since 2023-09 ais_bench takes no input and no model that the group can write. Python's scripts see to it themselves; a
# shell that somebody types in keeps its own.
[[ $- == *i* ]] || umask go-w

export GOMP_SPINCOUNT="${GOMP_SPINCOUNT:-1000}" # PyTorch's threads wait asleep, or beside other work they run a hundredth as fast

# The project's environment: of the collection this folder stands in, else the one that is active.
if [[ -L "$model_folder/common" && -x "$model_folder/../.venv/bin/python" ]]; then
    _prepend PATH "$(CDPATH='' cd "$model_folder/.." && pwd)/.venv/bin"
fi
_prepend PYTHONPATH "$model_folder"

# CANN's own scripts read variables that may be unset and let commands fail; so this is called in conditions only, where
# `set -e` has no effect.
_source_cann() { # _source_cann SCRIPT...: the first that is there
    local script flags=$-
    for script in "$@"; do
        [[ -f $script ]] || continue
        set +u
        # shellcheck source=/dev/null
        . "$script"
        if [[ $flags == *u* ]]; then set -u; fi
        return 0
    done
    return 1
}

# CANN: where the variable says that it sets itself, else in its usual places. ASCEND_ROOT: they lie there instead of
# in /usr/local/Ascend. What is on PATH already is set up already: its scripts would put it there again.
_root=${ASCEND_ROOT:-/usr/local/Ascend}
_cann=none
if [[ -n ${ASCEND_HOME_PATH-} && -d $ASCEND_HOME_PATH ]]; then
    _cann=${ASCEND_HOME_PATH%/}
    if [[ :$PATH != *":$_cann/"* ]] && _source_cann "$_cann/set_env.sh" "${_cann%/*}/set_env.sh"; then
        _cann=${ASCEND_HOME_PATH%/}
    fi
elif _source_cann "$_root/ascend-toolkit/set_env.sh" "$_root/cann/set_env.sh"; then
    if [[ ! -d ${ASCEND_HOME_PATH-} ]]; then export ASCEND_HOME_PATH=$_root/ascend-toolkit/latest; fi # before CANN 5.1
    _cann=${ASCEND_HOME_PATH%/}
elif [[ -d $_root/ascend-toolkit/latest ]]; then
    _cann=$_root/ascend-toolkit/latest
fi
if [[ $_cann != none && :$PATH != *":$_cann/"* ]]; then # no script of its own: the variables that it would set
    for _part in "" /atc /fwkacllib /acllib; do # older CANN has a folder for each part, newer one has all in one
        if [[ -d $_cann$_part/bin ]]; then _prepend PATH "$_cann$_part/bin"; fi
        if [[ -d $_cann$_part/ccec_compiler/bin ]]; then _prepend PATH "$_cann$_part/ccec_compiler/bin"; fi
        if [[ -d $_cann$_part/python/site-packages ]]; then _prepend PYTHONPATH "$_cann$_part/python/site-packages"; fi
        if [[ -d $_cann$_part/lib64 ]]; then _prepend LD_LIBRARY_PATH "$_cann$_part/lib64"; fi
    done
    if [[ -d $_cann/opp ]]; then export ASCEND_OPP_PATH=$_cann/opp; fi
fi

_find() { # _find NAME...: the first of these programs in the model's folder or on PATH, with its whole path
    local name
    for name in "$@"; do
        if [[ -x $model_folder/$name ]]; then echo "$model_folder/$name"; return; fi
        if command -v "$name" >/dev/null; then command -v "$name"; return; fi
    done
}

# An NPU counts as there when its driver's tool sees it; without one, ONNX Runtime stands in for the tools.
BENCHMARK=(python3 -m common.tools.benchmark)
MSAME=(python3 -m common.tools.msame)
AIS_INFER=(python3 -m common.tools.ais_infer)
MODEL_SUFFIX=onnx
_npu=no
if command -v npu-smi >/dev/null && npu-smi info >/dev/null 2>&1; then
    _npu=yes
    MODEL_SUFFIX=om
    BENCHMARK=("$(_find "benchmark.$(uname -m)" benchmark)")
    MSAME=("$(_find msame)")
    AIS_INFER=("$(_find ais_infer)")
    # another package of the name ais_bench, without these two, evaluates language models
    if [[ -z ${AIS_INFER[0]} ]] && python3 -c 'import aclruntime, ais_bench.infer' 2>/dev/null; then
        AIS_INFER=(python3 -m ais_bench)
    fi
fi
_cann="CANN $_cann, $(command -v atc || echo "no atc")"
if [[ $_npu == yes ]]; then
    echo "env: $_cann, NPU there; benchmark: ${BENCHMARK[0]:-not found}, msame: ${MSAME[0]:-not found}," \
         "ais_infer: ${AIS_INFER[*]:-not found}"
else
    echo "env: $_cann, no NPU; ONNX Runtime stands in for benchmark, msame and ais_infer"
fi

# shellcheck source=common/npu/outside.sh
. "$(dirname "${BASH_SOURCE[0]}")/outside.sh"
# shellcheck source=common/npu/atc.sh
. "$(dirname "${BASH_SOURCE[0]}")/atc.sh"
# shellcheck source=common/npu/tools.sh
. "$(dirname "${BASH_SOURCE[0]}")/tools.sh"
# shellcheck source=common/npu/testcase.sh
. "$(dirname "${BASH_SOURCE[0]}")/testcase.sh"
