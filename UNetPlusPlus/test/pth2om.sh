#!/usr/bin/env bash
# From the checkpoint to ONNX and, where CANN is installed, to OM, one file per batch size.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/pth2om.sh [--pth=FILE] [--batch_sizes="N ..."] [--soc_version=NAME]
  --pth          checkpoint (default: nested_unet.pth)
  --batch_sizes  batch sizes to compile for (default: "1 4 8 16 32")
  --soc_version  chip to compile for, e.g. Ascend310P3 (default: what npu-smi names)
Writes nested_unet.onnx (any batch size), and nested_unet_bsN.om where atc is on the machine.
END
}
pth=nested_unet.pth batch_sizes='1 4 8 16 32' soc=
for argument in "$@"; do
    case $argument in
        --pth=*) pth=${argument#*=} ;;
        --batch_sizes=*) batch_sizes=${argument#*=} ;;
        --soc_version=*) soc=${argument#*=} ;;
        --help|-h) usage; exit 0 ;;
        *) echo "error: unknown option $argument" >&2; usage >&2; exit 2 ;;
    esac
done
[[ $batch_sizes =~ ^[1-9][0-9]*( [1-9][0-9]*)*$ ]] || {
    echo "error: --batch_sizes: expected numbers of at least 1, found '$batch_sizes'" >&2; usage >&2; exit 2
}
[[ $pth == /* ]] || pth=$PWD/$pth
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. ./env.sh

python3 nested_unet_pth2onnx.py "$pth" nested_unet.onnx

if ! command -v atc >/dev/null; then
    echo "no atc on this machine: nested_unet.onnx is made, ONNX Runtime can run it; .om files need CANN"
    exit 0
fi
if [[ -z $soc ]]; then
    soc=$(python3 -m common.chip)
fi
for batch in $batch_sizes; do
    rm -f "nested_unet_bs$batch.om"
    atc --framework=5 --model=nested_unet.onnx --output="nested_unet_bs$batch" --input_format=NCHW \
        --input_shape="actual_input_1:$batch,3,96,96" --log=error --soc_version="$soc" || true
    # atc's exit code alone proves nothing
    [[ -s nested_unet_bs$batch.om ]] || { echo "error: atc left no nested_unet_bs$batch.om; its messages are above" >&2; exit 1; }
    echo "nested_unet_bs$batch.om: $(stat -c %s "nested_unet_bs$batch.om") bytes"
done
