#!/usr/bin/env bash
# From the checkpoint to ONNX and, where CANN is installed, to OM, one file per batch size.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/pth2om.sh [--pth=FILE] [--batch_sizes="N ..."] [--soc_version=NAME] [--tune]
  --pth          checkpoint (default: template_name.pth)
  --batch_sizes  batch sizes to compile for (default: "1 4 8")
  --soc_version  chip to compile for, e.g. Ascend310P3 (default: what npu-smi names)
  --tune         tune the operators on this machine's NPU, which takes long
Writes template_name.onnx (any batch size), and template_name_bsN.om where atc is on the machine.
In the environment, ATC_PRECISION=mixed_float16 (say) picks atc's precision, ATC_FLAGS='--NAME=VALUE ...' further flags.
END
}
pth=template_name.pth batch_sizes='1 4 8' soc_version='' tuning=no
script_options=(pth:path batch_sizes:numbers soc_version:text tune:tuning=yes)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"

python3 template_name_pth2onnx.py "$pth" template_name.onnx

require_atc template_name.onnx
[[ -n $soc_version ]] || soc_version=$(python3 -m common.npu.chip)
choose_tuning "$tuning"
for batch in $batch_sizes; do
    compile "template_name_bs$batch" atc --framework=5 --model=template_name.onnx --output="template_name_bs$batch" \
        --input_format=NCHW --input_shape="image:$batch,3,32,32" --precision_mode=force_fp16 --log=error \
        --soc_version="$soc_version" ${tune[@]+"${tune[@]}"}
done
