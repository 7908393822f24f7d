#!/usr/bin/env bash
# Set up the environment: setup.sh FOLDER [PYTHON]. Makes FOLDER/.venv from FOLDER/requirements.txt; `make` calls it
# when .venv/installed is older than that file. Several makes at once wait for one another.
set -euo pipefail
cd "$1"
python=${2:-python3}

"$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' || {
    echo "error: $python is $("$python" --version 2>&1 || echo missing); the pinned packages need Python 3.10 to 3.13, give PYTHON=python3.11 (say)" >&2
    exit 1
}
exec 9>.venv.lock
if command -v flock >/dev/null; then flock 9; fi
if [[ -e .venv/installed && .venv/installed -nt requirements.txt && .venv/installed -nt pyproject.toml &&
      $(cat .venv/installed) == "$python" ]]; then
    exit 0
fi
echo "setting up .venv with $("$python" --version) (some 5.5 GB with torch's CUDA packages, about a minute)"
"$python" -m venv --clear .venv
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
printf '%s\n' "$python" > .venv/.installed
mv .venv/.installed .venv/installed
