#!/usr/bin/env bash
# From the checkpoint to ONNX and, where CANN is installed, to OM, one file per batch size.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/pth2om.sh [--pth=FILE] [--batch_sizes="N ..."] [--soc_version=NAME] [--tune]
  --pth          checkpoint (default: cityscapes_easy2hard_intrada_with_norm.pth)
  --batch_sizes  batch sizes to compile for (default: "1 4 8 16 32")
  --soc_version  chip to compile for, e.g. Ascend310P3 (default: what npu-smi names)
  --tune         tune the operators on this machine's NPU, which takes long: atc's --auto_tune_mode, where CANN is too
                 new for that (6.0 on) aoe
Writes intrada_deeplabv2.onnx (any batch size), and intrada_deeplabv2_bsN.om where atc is on the machine.
In the environment, ATC_PRECISION=mixed_float16 (say) picks atc's precision, ATC_FLAGS='--NAME=VALUE ...' further flags.
END
}
pth=cityscapes_easy2hard_intrada_with_norm.pth batch_sizes='1 4 8 16 32' soc_version='' tuning=no
script_options=(pth:path batch_sizes:numbers soc_version:text tune:tuning=yes)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"

python3 intrada_pth2onnx.py "$pth" intrada_deeplabv2.onnx

require_atc intrada_deeplabv2.onnx
[[ -n $soc_version ]] || soc_version=$(python3 -m common.npu.chip)
choose_tuning "$tuning"
for batch in $batch_sizes; do
    compile "intrada_deeplabv2_bs$batch" atc --framework=5 --model=intrada_deeplabv2.onnx \
        --output="intrada_deeplabv2_bs$batch" --input_format=NCHW --input_shape="image:$batch,3,512,1024" \
        --precision_mode=force_fp16 --log=error --soc_version="$soc_version" ${tune[@]+"${tune[@]}"}
done
