#!/usr/bin/env bash
# From the checkpoint to ONNX and, where CANN is installed, to OM.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/pth2om.sh [--load_pretrain=DIR] [--input=onehot|labels] [--soc_version=NAME] [--tune]
  --load_pretrain  folder that holds latest_net_G.pth (default: checkpoints/label2city_1024p)
  --input          what the model takes: one-hot planes (default), or label ids and edges as uint8
  --soc_version    chip to compile for, e.g. Ascend310 (default: what npu-smi names)
  --tune           tune the operators on this machine's NPU, which takes long: atc's --auto_tune_mode, where CANN is too
                   new for that (6.0 on) aoe
Writes pix2pixhd.onnx (with --input=labels pix2pixhd_labels.onnx), and pix2pixhd_bs1.om (pix2pixhd_labels_bs1.om) where
atc is on the machine.
In the environment, ATC_PRECISION=mixed_float16 (say) picks atc's precision, ATC_FLAGS='--NAME=VALUE ...' further flags.
END
}
load_pretrain=checkpoints/label2city_1024p input=onehot soc_version='' tuning=no
script_options=(load_pretrain:path 'input:onehot|labels' soc_version:text tune:tuning=yes)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"

if [[ $input == labels ]]; then model=pix2pixhd_labels; else model=pix2pixhd; fi
python3 pix2pixhd_pth2onnx.py --load_pretrain "$load_pretrain" --output_file "$model.onnx" --input "$input"

require_atc "$model.onnx"
[[ -n $soc_version ]] || soc_version=$(python3 -m common.npu.chip)
choose_tuning "$tuning"
if [[ $input == labels ]]; then
    compile pix2pixhd_labels_bs1 atc --framework=5 --model=pix2pixhd_labels.onnx --output=pix2pixhd_labels_bs1 \
        --input_format=NCHW --input_shape="input_labels:1,2,1024,2048" --precision_mode=force_fp16 --log=error \
        --soc_version="$soc_version" ${tune[@]+"${tune[@]}"}
else
    compile pix2pixhd_bs1 atc --framework=5 --model=pix2pixhd.onnx --output=pix2pixhd_bs1 --input_format=NCHW \
        --input_shape="input_concat:1,36,1024,2048" --precision_mode=force_fp16 --log=error \
        --soc_version="$soc_version" ${tune[@]+"${tune[@]}"}
fi
