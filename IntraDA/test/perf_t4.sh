#!/usr/bin/env bash
# Performance on an NVIDIA GPU at each batch size: trtexec where it is installed, else ONNX Runtime on the GPU.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/perf_t4.sh [--onnx=FILE]
  --onnx  model (default: intrada_deeplabv2.onnx, made by test/pth2om.sh)
END
}
onnx=intrada_deeplabv2.onnx
script_options=(onnx:path)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
[[ -f $onnx ]] || { echo "error: $onnx: no such file; make it with test/pth2om.sh" >&2; exit 1; }
require_gpu
mkdir -p result
logs=()
if command -v trtexec >/dev/null; then
    half_precision
else
    device=$(gpu_device)
fi
for batch in 1 4 8 16 32; do
    if command -v trtexec >/dev/null; then
        # whether it went well is read off the log
        trtexec --onnx="$onnx" ${FP16[@]+"${FP16[@]}"} --shapes="image:${batch}x3x512x1024" --threads | tee "result/trtexec_bs$batch.log" || true
        python3 -m common.tools.perf "result/trtexec_bs$batch.log"
        logs+=("result/trtexec_bs$batch.log")
    else
        DEVICE=$device python3 -m common.tools.ais_infer --model "$onnx" --output result --output_dirname "gpu_bs$batch" --loop 20 --batchsize "$batch"
        logs+=("result/gpu_bs${batch}_summary.json")
    fi
done
python3 -m common.judge.sweep "${logs[@]}"
