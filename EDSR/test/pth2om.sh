#!/usr/bin/env bash
# From the checkpoint to ONNX and, where CANN is installed, to OM.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/pth2om.sh [--pth=FILE] [--size=N] [--soc_version=NAME]
  --pth          checkpoint (default: edsr_baseline_x2-1bc95232.pt)
  --size         side of the accuracy model's input (default: 1020, for DIV2K x2)
  --soc_version  chip to compile for, e.g. Ascend310 (default: what npu-smi names)
Writes edsr_x2_N.onnx and edsr_x2_256.onnx, and .om of both where atc is on the machine.
END
}
pth=edsr_baseline_x2-1bc95232.pt size=1020 soc=
for argument in "$@"; do
    case $argument in
        --pth=*) pth=${argument#*=} ;;
        --size=*) size=${argument#*=} ;;
        --soc_version=*) soc=${argument#*=} ;;
        --help|-h) usage; exit 0 ;;
        *) echo "error: unknown option $argument" >&2; usage >&2; exit 2 ;;
    esac
done
[[ $pth == /* ]] || pth=$PWD/$pth
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. ./env.sh

python3 edsr_pth2onnx.py --pth "$pth" --onnx "edsr_x2_$size.onnx" --size "$size"
[[ $size == 256 ]] || python3 edsr_pth2onnx.py --pth "$pth" --onnx edsr_x2_256.onnx --size 256

if ! command -v atc >/dev/null; then
    echo "no atc on this machine: edsr_x2_$size.onnx and edsr_x2_256.onnx are made, ONNX Runtime can run them; .om files need CANN"
    exit 0
fi
if [[ -z $soc ]]; then
    soc=$(python3 -m common.chip)
fi
rm -f "edsr_x2_$size.om" edsr_x2_256.om
atc --framework=5 --model="edsr_x2_$size.onnx" --output="edsr_x2_$size" --input_format=NCHW \
    --input_shape="input.1:1,3,$size,$size" --fusion_switch_file=switch.cfg --log=error --soc_version="$soc" || true
[[ $size == 256 ]] || atc --framework=5 --model=edsr_x2_256.onnx --output=edsr_x2_256 --input_format=NCHW \
    --input_shape="input.1:1,3,256,256" --fusion_switch_file=switch.cfg --log=error --soc_version="$soc" || true
for om in "edsr_x2_$size.om" edsr_x2_256.om; do # atc's exit code alone proves nothing
    [[ -s $om ]] || { echo "error: atc left no $om; its messages are above" >&2; exit 1; }
    echo "$om: $(stat -c %s "$om") bytes"
done
