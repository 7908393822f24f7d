#!/usr/bin/env bash
# Performance on an NVIDIA GPU: trtexec where it is installed, else ONNX Runtime on the GPU.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/perf_t4.sh [--onnx=FILE]
  --onnx  model (default: template_name.onnx, made by test/pth2om.sh)
END
}
onnx=template_name.onnx
script_options=(onnx:path)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
[[ -f $onnx ]] || { echo "error: $onnx: no such file; make it with test/pth2om.sh" >&2; exit 1; }
require_gpu
mkdir -p result
if command -v trtexec >/dev/null; then
    half_precision
    # whether it went well is read off the log
    trtexec --onnx="$onnx" ${FP16[@]+"${FP16[@]}"} --shapes=image:1x3x32x32 --threads | tee result/trtexec.log || true
    python3 -m common.tools.perf result/trtexec.log
else
    DEVICE=$(gpu_device) python3 -m common.tools.ais_infer --model "$onnx" --output result --output_dirname gpu --loop 200 --batchsize 1
    python3 -m common.tools.perf result/gpu_summary.json
fi
