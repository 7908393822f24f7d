#!/usr/bin/env bash
# Run a command outside the project's environment: bash common/npu/outside.sh COMMAND..., or `outside` where it is sourced.
# atc's and aoe's compiler imports packages (numpy below 2, decorator, sympy ...) from whatever python3 comes first on
# PATH. That must be the Python that CANN was installed for, so what env.sh put in front is taken off again: .venv and
# the model's folder. What CANN's own scripts added stays.
_common=${model_folder-}/common # of a copy, whose env.sh has this in it
if [[ ${BASH_SOURCE[0]##*/} == outside.sh ]]; then _common=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P); fi
_without() { # _without LIST TEST: LIST without the entries for which `TEST ENTRY` holds
    local part kept='' parts
    IFS=: read -ra parts <<<"$1"
    for part in ${parts[@]+"${parts[@]}"}; do
        "$2" "$part" || kept+=${kept:+:}$part
    done
    printf '%s' "$kept"
}
_in_environment() { [[ $1 -ef $_common/../.venv/bin ]]; }
_of_project() { [[ -n $1 && ($1/common -ef $_common || (-f $1/facts.json && -f $1/env.sh)) ]]; }

outside() ( # outside COMMAND...: its status is the command's
    PATH=$(_without "$PATH" _in_environment)
    PYTHONPATH=$(_without "${PYTHONPATH-}" _of_project)
    export PATH PYTHONPATH
    [[ -n $PYTHONPATH ]] || unset PYTHONPATH
    unset PYTHONSAFEPATH
    [[ ! ${VIRTUAL_ENV-}/bin -ef $_common/../.venv/bin ]] || unset VIRTUAL_ENV
    exec "$@"
)
if [[ ${BASH_SOURCE[0]##*/} == outside.sh && ${BASH_SOURCE[0]} == "$0" ]]; then outside "$@"; fi
