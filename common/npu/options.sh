# shellcheck shell=bash disable=SC2154 # script_options and usage are the script's
# Sourced by env.sh where a script of test/ has declared `script_options` and `usage`: its command line, --NAME=VALUE each.
#   NAME:text  NAME:whole (0 too)  NAME:number  NAME:numbers  NAME:A|B    the value goes to the variable NAME
#   NAME:path  NAME:path!   a relative one is the caller's, or the model folder's where only that has it; ! must be given
#   NAME:VARIABLE=VALUE     a switch, --NAME alone
wrong_usage() { # wrong_usage TEXT
    echo "error: $1" >&2
    usage >&2
    exit 2
}

read_options() { # read_options ARGUMENT...: set the variables; --help and wrong usage end the script
    local argument option name kind value
    for argument in "$@"; do
        [[ $argument != --help && $argument != -h ]] || { usage; exit 0; }
        name=${argument%%=*} name=${name#--} kind=''
        for option in "${script_options[@]}"; do
            [[ ${option%%:*} != "$name" ]] || kind=${option#*:}
        done
        [[ $argument == --* && -n $kind ]] || wrong_usage "unknown option $argument"
        [[ $argument == *=* || $kind == *=* ]] || wrong_usage "--$name: expected --$name=VALUE"
        [[ $argument != *=* || $kind != *=* ]] || wrong_usage "--$name: takes no value"
        value=${argument#*=}
        case $kind in
            *=*) printf -v "${kind%%=*}" '%s' "${kind#*=}"; continue ;;
            path*) [[ -n $value ]] || wrong_usage "--$name: expected a path, found none" ;;
            whole) [[ $value =~ ^[0-9]{1,9}$ ]] || wrong_usage "--$name: expected a whole number, found $value" ;;
            number) [[ $value =~ ^[1-9][0-9]{0,8}$ ]] || wrong_usage "--$name: expected a number of at least 1, found $value" ;;
            numbers) [[ $value =~ ^[1-9][0-9]{0,8}( [1-9][0-9]{0,8})*$ ]] ||
                wrong_usage "--$name: expected numbers of at least 1, found '$value'" ;;
            *'|'*) [[ "|$kind|" == *"|$value|"* ]] || wrong_usage "--$name: expected ${kind//|/ or }, found $value" ;;
        esac
        printf -v "$name" '%s' "$value"
    done
    for option in "${script_options[@]}"; do
        name=${option%%:*} kind=${option#*:}
        [[ $kind == path* ]] || continue
        value=${!name}
        [[ -n $value || $kind != path! ]] || wrong_usage "--$name is missing"
        [[ -z $value || $value == /* || (! -e $value && -e $model_folder/$value) ]] || printf -v "$name" '%s' "$PWD/$value"
    done
}
