#!/usr/bin/env bash
# From the checkpoint to ONNX and, where CANN is installed, to OM.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/pth2om.sh [--pth=FILE] [--size=N] [--res_scale=X] [--soc_version=NAME] [--tune]
  --pth          checkpoint (default: edsr_baseline_x2-1bc95232.pt)
  --size         side of the accuracy model's input (default: 1020, for DIV2K x2)
  --res_scale    weight of the residual branches, which stands in no tensor (default: 0.1 for more than 64 features,
                 else 1)
  --soc_version  chip to compile for, e.g. Ascend310 (default: what npu-smi names)
  --tune         tune the operators on this machine's NPU, which takes long: atc's --auto_tune_mode, where CANN is too
                 new for that (6.0 on) aoe
Writes edsr_x2_N.onnx and edsr_x2_256.onnx, and .om of both where atc is on the machine.
In the environment, ATC_PRECISION=mixed_float16 (say) picks atc's precision, ATC_FLAGS='--NAME=VALUE ...' further flags.
END
}
pth=edsr_baseline_x2-1bc95232.pt size=1020 res_scale='' soc_version='' tuning=no
script_options=(pth:path size:number res_scale:text soc_version:text tune:tuning=yes)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"

sides=("$size")
[[ $size == 256 ]] || sides+=(256)
for side in "${sides[@]}"; do
    python3 edsr_pth2onnx.py --pth "$pth" --onnx "edsr_x2_$side.onnx" --size "$side" \
        ${res_scale:+--res_scale "$res_scale"}
done

models=("${sides[@]/#/edsr_x2_}")
require_atc "${models[@]/%/.onnx}"
[[ -n $soc_version ]] || soc_version=$(python3 -m common.npu.chip)
choose_tuning "$tuning"
for side in "${sides[@]}"; do
    compile "edsr_x2_$side" atc --framework=5 --model="edsr_x2_$side.onnx" --output="edsr_x2_$side" \
        --input_format=NCHW --input_shape="input.1:1,3,$side,$side" --fusion_switch_file=switch.cfg \
        --precision_mode=force_fp16 --log=error --soc_version="$soc_version" ${tune[@]+"${tune[@]}"}
done
