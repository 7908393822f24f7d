#!/usr/bin/env bash
# Performance on an NVIDIA GPU, 100 pictures a run: trtexec where it is installed, else ONNX Runtime on the GPU.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/perf_t4.sh [--onnx=FILE]
  --onnx  simplified model (default: CGAN_sim.onnx, made by test/pth2om.sh)
END
}
onnx=CGAN_sim.onnx
script_options=(onnx:path)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
[[ -f $onnx ]] || { echo "error: $onnx: no such file; make it with test/pth2om.sh" >&2; exit 1; }
require_gpu
mkdir -p result/gpu
if command -v trtexec >/dev/null; then
    half_precision
    # the shape is fixed: no --shapes; whether it went well is read off the log
    trtexec --onnx="$onnx" ${FP16[@]+"${FP16[@]}"} --threads | tee result/trtexec.log || true
    python3 -m common.tools.perf --batch 100 result/trtexec.log
else
    DEVICE=$(gpu_device) python3 -m common.tools.msame --model "$onnx" --output result/gpu --loop 100 > result/msame_gpu.log
    head -n 1 result/msame_gpu.log # the provider that computed
    python3 -m common.tools.perf --batch 100 result/msame_gpu.log
fi
