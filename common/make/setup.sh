#!/usr/bin/env bash
# Set up the environment: setup.sh FOLDER [PYTHON]. Makes FOLDER/.venv from FOLDER/requirements.txt; `make` calls it
# when .venv/installed is older than that file. Several makes at once wait for one another.
# By uv where that is on PATH, else, or where it fails, by pip. TORCH=cpu: torch's builds for the CPU, a tenth of the size,
# from TORCH_INDEX (default: PyTorch's own), which are preferred where that has the pinned version.
set -euo pipefail
CDPATH='' cd "$1"
python=${2:-python3}

"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null || {
    echo "error: $python is $("$python" --version 2>/dev/null || echo missing); the pinned packages need Python 3.11 to 3.13, give PYTHON=python3.11 (say)" >&2
    exit 1
}
exec 9>.venv.lock
if command -v flock >/dev/null; then flock 9; fi
if [[ -e .venv/installed && .venv/installed -nt requirements.txt && .venv/installed -nt pyproject.toml &&
      $(cat .venv/installed) == "$python" ]]; then
    exit 0
fi
[[ ! -L .venv ]] || { echo "error: .venv is a link: the environment of another folder would become this one's; remove it" >&2; exit 1; }
pip=(.venv/bin/python -m pip install --quiet --disable-pip-version-check)
index=() kind="some 5.5 GB with torch's CUDA packages"
if [[ ${TORCH-} == cpu ]]; then
    index=(--extra-index-url "${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}") kind="torch's CPU build where the index has it"
fi
install_pinned() { # modules are compiled when they are first imported: of torch's, a tenth ever are
    if command -v uv >/dev/null; then
        # pip takes the newest build that any index has; uv would take the first index's
        uv pip install --quiet --python .venv/bin/python ${index[@]+"${index[@]}" --index-strategy unsafe-best-match} \
            --requirement requirements.txt && return
        echo "uv could not install them; pip tries" >&2
    fi
    "${pip[@]}" --no-compile ${index[@]+"${index[@]}"} --requirement requirements.txt
}
if ! cmp -s requirements.txt .venv/requirements.txt || [[ $(cat .venv/installed 2>/dev/null) != "$python" ]]; then
    echo "setting up .venv with $("$python" --version) ($kind, about a minute)"
    "$python" -m venv --clear .venv
    install_pinned
    # where PYTHONDONTWRITEBYTECODE is set, each stage would compile anew what all start with, for a second
    PYTHONDONTWRITEBYTECODE='' .venv/bin/python -c 'import cv2, onnx, onnxruntime, PIL.Image, torch.onnx.utils, tqdm' \
        2>/dev/null || true # the stage that needs what is broken says so
    cp requirements.txt .venv/requirements.txt
fi
"${pip[@]}" --no-deps --no-build-isolation --editable . # another pyproject.toml needs no more than this
printf '%s\n' "$python" > .venv/.installed
mv .venv/.installed .venv/installed
