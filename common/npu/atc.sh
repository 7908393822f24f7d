# shellcheck shell=bash disable=SC2034 # tune goes to who sources this
# Sourced by env.sh: what the test/pth2om.sh of the five models share around their atc lines.

require_atc() { # require_atc FILE...: end the script, with status 0, where there is no atc; the files were made before
    # eval_acc_perf.sh asks for what it will run: a machine may have atc and no NPU, whose chip nothing tells then
    [[ ${WANTED-} != onnx ]] || exit 0
    if ! command -v atc >/dev/null; then
        echo "no atc on this machine, so no .om (CANN brings it); made, for ONNX Runtime (test/eval_acc_perf.sh): $*"
        exit 0
    fi
}

choose_tuning() { # choose_tuning no|reference|yes: whether compile tunes; `reference`: only where atc itself can
    tool=atc tune=() # what compile runs, and what belongs into the atc line
    [[ $1 != no ]] || return 0
    # the list of flags tells more than a version: CANN 6.0 has no --auto_tune_mode any more, AOE took its place
    if [[ $(outside atc --help 2>&1 || true) == *--auto_tune_mode* ]]; then
        tune=(--auto_tune_mode="RL,GA")
    elif [[ $1 == reference ]]; then
        echo "note: this atc has no --auto_tune_mode, so the .om is not tuned; --tune has aoe do it, which takes long"
    elif command -v aoe >/dev/null; then
        tool=aoe
    else
        echo "error: --tune: this atc has no --auto_tune_mode, and aoe, which took its place, is not on PATH;" \
            "install it (CANN's toolkit has it), or leave out --tune" >&2
        return 1
    fi
}

chosen_flags() { # chosen_flags ARGUMENT...: set FLAGS to them, with what ATC_PRECISION and ATC_FLAGS of the environment choose
    local argument words
    FLAGS=("$@")
    [[ -n ${ATC_PRECISION-}${ATC_FLAGS-} ]] || return 0
    words=$(python3 -m common.npu.atc_flags --lines) || return 1
    mapfile -t words <<<"$words"
    FLAGS=()
    for argument in "$@"; do # a flag that is chosen anew takes the place of the line's own
        [[ $argument == --precision_mode=* || $'\n'$(printf '%s\n' "${words[@]}") == *$'\n'"${argument%%=*}="* ]] || FLAGS+=("$argument")
    done
    FLAGS+=("${words[@]}")
    echo "${FLAGS[*]}"
}

compile() { # compile NAME atc ARGUMENT...: run the line; it is done when it ends with status 0 and NAME.om is there
    local om=$1.om argument log status=0
    chosen_flags "${@:2}" || return 1
    local command=("${FLAGS[@]}")
    if [[ $tool == aoe ]]; then # atc's arguments, but the chip is the machine's own; job 2 tunes operators, as RL,GA do
        command=(aoe --job_type=2)
        for argument in "${FLAGS[@]:1}"; do
            [[ $argument == --soc_version=* ]] || command+=("$argument")
        done
        echo "${command[*]}"
    fi
    log=$(mktemp -d "${TMPDIR:-/tmp}/$tool.XXXXXX")
    rm -f "$om"
    ASCEND_PROCESS_LOG_PATH=$log outside "${command[@]}" 2>&1 | tee "$log/printed" || status=${PIPESTATUS[0]}
    if ((status == 0)) && [[ -s $om ]]; then
        rm -rf "$log"
        chmod go-w "$om" # ais_bench takes no model that others can write
        echo "$om: $(stat -c %s "$om") bytes"
        return
    fi
    if [[ -e $om ]]; then
        rm -f "$om" # of a failed run: nothing shall take it for a good one
        echo "error: $tool ended with status $status; the $om it left is taken away; the end of what it said:" >&2
    else
        echo "error: $tool ended with status $status and left no $om; the end of what it said:" >&2
    fi
    tail -n 5 "$log/printed" >&2
    find "$log" -name 'plog-*' -exec tail -n 20 {} + >&2
    echo "all of it: $log" >&2
    return 1
}
