#!/usr/bin/env bash
# From the checkpoint to ONNX and, where CANN is installed, to OM, one file per batch size.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/pth2om.sh [--pth=FILE] [--batch_sizes="N ..."] [--soc_version=NAME]
  --pth          checkpoint (default: cityscapes_easy2hard_intrada_with_norm.pth)
  --batch_sizes  batch sizes to compile for (default: "1 4 8 16 32")
  --soc_version  chip to compile for, e.g. Ascend310P3 (default: what npu-smi names)
Writes intrada_deeplabv2.onnx (any batch size), and intrada_deeplabv2_bsN.om where atc is on the machine.
END
}
pth=cityscapes_easy2hard_intrada_with_norm.pth batch_sizes='1 4 8 16 32' soc=
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

python3 intrada_pth2onnx.py "$pth" intrada_deeplabv2.onnx

if ! command -v atc >/dev/null; then
    echo "no atc on this machine: intrada_deeplabv2.onnx is made, ONNX Runtime can run it; .om files need CANN"
    exit 0
fi
if [[ -z $soc ]]; then
    soc=$(python3 -m common.chip)
fi
for batch in $batch_sizes; do
    rm -f "intrada_deeplabv2_bs$batch.om"
    atc --framework=5 --model=intrada_deeplabv2.onnx --output="intrada_deeplabv2_bs$batch" --input_format=NCHW \
        --input_shape="image:$batch,3,512,1024" --log=error --soc_version="$soc" || true
    # atc's exit code alone proves nothing
    [[ -s intrada_deeplabv2_bs$batch.om ]] || { echo "error: atc left no intrada_deeplabv2_bs$batch.om; its messages are above" >&2; exit 1; }
    echo "intrada_deeplabv2_bs$batch.om: $(stat -c %s "intrada_deeplabv2_bs$batch.om") bytes"
done
