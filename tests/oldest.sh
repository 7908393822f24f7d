#!/usr/bin/env bash
# The core of the suite with the oldest versions that the models' requirements.txt allow (requirements-oldest.txt).
# usage: bash tests/oldest.sh [pytest's arguments]; PYTHON= an interpreter of 3.8 to 3.11 (default: the first found)
set -euo pipefail
CDPATH='' cd "$(dirname "${BASH_SOURCE[0]}")/.."

fits() { "$1" -c 'import sys; sys.exit(not (3, 8) <= sys.version_info < (3, 12))' 2>/dev/null; }
python=${PYTHON:-}
for candidate in python3.8 python3.9 python3.10 python3.11 python3; do
    [[ -n $python ]] || ! fits "$candidate" || python=$candidate
done
if [[ -z $python ]] || ! fits "$python"; then
    echo "error: ${python:-python3}: the oldest versions need Python 3.8 to 3.11; give PYTHON=python3.10 (say)" >&2
    exit 1
fi
venv=.venv-oldest
if ! cmp -s requirements-oldest.txt "$venv/installed"; then
    echo "setting up $venv with $("$python" --version) (some 5 GB with torch's CUDA packages)"
    "$python" -m venv --clear "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile --requirement requirements-oldest.txt
    cp requirements-oldest.txt "$venv/installed"
fi
# conversion, the tensors between the stages, what stands in for the tools, the metrics; no make, no upstream, no extras
core=(checkpoint networks export variant old_machines dataset files pictures workers journal engine benchmark msame
      ais_infer perf accuracy edsr cgan unetplusplus pix2pixhd intrada)
files=("${core[@]/#/tests/test_}")
[[ $# -gt 0 ]] || set -- "${files[@]/%/.py}"
PYTHONPATH=$PWD exec "$venv/bin/python" -m pytest -q -p no:cacheprovider -m "not full" "$@"
