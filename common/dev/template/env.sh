# shellcheck shell=bash
# Source this before the commands of the README: `. ./env.sh`. It says in one line what it found.
model_folder=$(CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [[ -f $model_folder/common/npu/env.sh ]]; then
    # shellcheck source=common/npu/env.sh
    . "$model_folder/common/npu/env.sh"
else # a copy of the folder alone: the installed package has it
    # shellcheck source=common/npu/env.sh
    . "$(python3 -c 'import common; print(common.__path__[0])')/npu/env.sh"
fi
