#!/usr/bin/env bash
# From the checkpoint to ONNX and, where CANN is installed, to OM.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/pth2om.sh [--load_pretrain=DIR] [--input=onehot|labels] [--soc_version=NAME]
  --load_pretrain  folder that holds latest_net_G.pth (default: checkpoints/label2city_1024p)
  --input          what the model takes: one-hot planes (default), or label ids and edges as uint8
  --soc_version    chip to compile for, e.g. Ascend310 (default: what npu-smi names)
Writes pix2pixhd.onnx (with --input=labels pix2pixhd_labels.onnx), and pix2pixhd_bs1.om (pix2pixhd_labels_bs1.om) where
atc is on the machine.
END
}
load_pretrain=checkpoints/label2city_1024p input=onehot soc=
for argument in "$@"; do
    case $argument in
        --load_pretrain=*) load_pretrain=${argument#*=} ;;
        --input=onehot|--input=labels) input=${argument#*=} ;;
        --soc_version=*) soc=${argument#*=} ;;
        --help|-h) usage; exit 0 ;;
        *) echo "error: unknown option $argument" >&2; usage >&2; exit 2 ;;
    esac
done
[[ $load_pretrain == /* ]] || load_pretrain=$PWD/$load_pretrain
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. ./env.sh

if [[ $input == labels ]]; then model=pix2pixhd_labels; else model=pix2pixhd; fi
python3 pix2pixhd_pth2onnx.py --load_pretrain "$load_pretrain" --output_file "$model.onnx" --input "$input"

if ! command -v atc >/dev/null; then
    echo "no atc on this machine: $model.onnx is made, ONNX Runtime can run it; the .om needs CANN"
    exit 0
fi
if [[ -z $soc ]]; then
    soc=$(python3 -m common.chip)
fi
rm -f "${model}_bs1.om"
if [[ $input == labels ]]; then
    atc --framework=5 --model=pix2pixhd_labels.onnx --output=pix2pixhd_labels_bs1 --input_format=NCHW \
        --input_shape="input_labels:1,2,1024,2048" --log=error --soc_version="$soc" || true
else
    atc --framework=5 --model=pix2pixhd.onnx --output=pix2pixhd_bs1 --input_format=NCHW \
        --input_shape="input_concat:1,36,1024,2048" --log=error --soc_version="$soc" || true
fi
# atc's exit code alone proves nothing
[[ -s ${model}_bs1.om ]] || { echo "error: atc left no ${model}_bs1.om; its messages are above" >&2; exit 1; }
echo "${model}_bs1.om: $(stat -c %s "${model}_bs1.om") bytes"
