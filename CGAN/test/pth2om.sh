#!/usr/bin/env bash
# From the checkpoint to ONNX, simplified ONNX and, where CANN is installed, OM.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/pth2om.sh [--pth=FILE] [--width=N] [--soc_version=NAME] [--no_auto_tune]
  --pth           checkpoint of the generator (default: CGAN_G.pth)
  --width         columns of the input: noise values and classes (default: 72 = 62 + 10)
  --soc_version   chip to compile for, e.g. Ascend310 (default: what npu-smi names)
  --no_auto_tune  leave out --auto_tune_mode, which takes long, and which CANN 6 and later do not know
Writes CGAN.onnx and CGAN_sim.onnx, and CGAN_bs1.om where atc is on the machine.
END
}
pth=CGAN_G.pth width=72 soc='' tune=(--auto_tune_mode="RL,GA")
for argument in "$@"; do
    case $argument in
        --pth=*) pth=${argument#*=} ;;
        --width=*) width=${argument#*=} ;;
        --soc_version=*) soc=${argument#*=} ;;
        --no_auto_tune) tune=() ;;
        --help|-h) usage; exit 0 ;;
        *) echo "error: unknown option $argument" >&2; usage >&2; exit 2 ;;
    esac
done
[[ $pth == /* ]] || pth=$PWD/$pth
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. ./env.sh

rm -f CGAN_sim.onnx # onnxsim writes in place, whatever becomes of the check
python3 CGAN_pth2onnx.py --pth_path "$pth" --onnx_path CGAN.onnx
python3 -m onnxsim --overwrite-input-shape="100,$width" CGAN.onnx CGAN_sim.onnx
python3 -m common.simplify CGAN.onnx CGAN_sim.onnx || { rm -f CGAN_sim.onnx; exit 1; }

if ! command -v atc >/dev/null; then
    echo "no atc on this machine: CGAN_sim.onnx is made, ONNX Runtime can run it; the .om file needs CANN"
    exit 0
fi
if [[ -z $soc ]]; then
    soc=$(python3 -m common.chip)
fi
rm -f CGAN_bs1.om
atc --framework=5 --model=CGAN_sim.onnx --output=CGAN_bs1 --input_format=ND --output_type=FP32 \
    --input_shape="image:100,$width" ${tune[@]+"${tune[@]}"} --log=error --soc_version="$soc" || true
# atc's exit code alone proves nothing
[[ -s CGAN_bs1.om ]] || { echo "error: atc left no CGAN_bs1.om; its messages are above" >&2; exit 1; }
echo "CGAN_bs1.om: $(stat -c %s CGAN_bs1.om) bytes"
