#!/usr/bin/env bash
# Performance on an NVIDIA GPU at 256x256, batch 1: trtexec where it is installed, else ONNX Runtime on the GPU.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/perf_t4.sh [--onnx=FILE]
  --onnx  model of size 256 (default: edsr_x2_256.onnx, made by test/pth2om.sh)
END
}
onnx=edsr_x2_256.onnx
script_options=(onnx:path)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
[[ -f $onnx ]] || { echo "error: $onnx: no such file; make it with test/pth2om.sh" >&2; exit 1; }
require_gpu
mkdir -p result
if command -v trtexec >/dev/null; then
    half_precision
    # the shape is fixed: no --shapes; whether it went well is read off the log
    trtexec --onnx="$onnx" ${FP16[@]+"${FP16[@]}"} --threads | tee result/trtexec.log || true
    python3 -m common.tools.perf --batch 1 result/trtexec.log
else
    DEVICE=$(gpu_device) python3 -m common.tools.benchmark -round=200 -om_path="$onnx" -device_id=0 -batch_size=1
    python3 -m common.tools.perf "result/onnxruntime_pure_$(basename "$onnx" .onnx)_device_0.json"
fi
