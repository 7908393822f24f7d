#!/usr/bin/env bash
# From the checkpoint to ONNX, simplified ONNX and, where CANN is installed, OM.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/pth2om.sh [--pth=FILE] [--width=N] [--soc_version=NAME] [--tune|--no_tune]
  --pth           checkpoint of the generator (default: CGAN_G.pth)
  --width         columns of the input: noise values and classes (default: 72 = 62 + 10)
  --soc_version   chip to compile for, e.g. Ascend310 (default: what npu-smi names)
  --tune          tune the operators on this machine's NPU, which takes long: atc's --auto_tune_mode (the default, as
                  the reference does), where CANN is too new for that (6.0 on) aoe
  --no_tune       leave out --auto_tune_mode (the default where CANN is too new for it)
Writes CGAN.onnx and CGAN_sim.onnx, and CGAN_bs1.om where atc is on the machine.
In the environment, ATC_PRECISION=mixed_float16 (say) picks atc's precision, ATC_FLAGS='--NAME=VALUE ...' further flags.
END
}
pth=CGAN_G.pth width=72 soc_version='' tuning=reference
script_options=(pth:path width:number soc_version:text tune:tuning=yes no_tune:tuning=no)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"

rm -f CGAN_sim.onnx # onnxsim writes in place, whatever becomes of the check
python3 CGAN_pth2onnx.py --pth_path "$pth" --onnx_path CGAN.onnx
python3 -m onnxsim --overwrite-input-shape="100,$width" CGAN.onnx CGAN_sim.onnx
python3 -m common.convert.simplify CGAN.onnx CGAN_sim.onnx || { rm -f CGAN_sim.onnx; exit 1; }

require_atc CGAN_sim.onnx
[[ -n $soc_version ]] || soc_version=$(python3 -m common.npu.chip)
choose_tuning "$tuning"
compile CGAN_bs1 atc --framework=5 --model=CGAN_sim.onnx --output=CGAN_bs1 --input_format=ND --output_type=FP32 \
    --input_shape="image:100,$width" --precision_mode=force_fp16 --log=error \
    --soc_version="$soc_version" ${tune[@]+"${tune[@]}"}
