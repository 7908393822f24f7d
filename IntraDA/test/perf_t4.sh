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
for argument in "$@"; do
    case $argument in
        --onnx=*) onnx=${argument#*=} ;;
        --help|-h) usage; exit 0 ;;
        *) echo "error: unknown option $argument" >&2; usage >&2; exit 2 ;;
    esac
done
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. ./env.sh
[[ -f $onnx ]] || { echo "error: $onnx: no such file; make it with test/pth2om.sh" >&2; exit 1; }
if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L | grep -q .; then
    echo "error: no NVIDIA GPU on this machine (nvidia-smi finds none); this figure can only be taken on one" >&2
    exit 1
fi
mkdir -p result
logs=()
for batch in 1 4 8 16 32; do
    if command -v trtexec >/dev/null; then
        trtexec --onnx="$onnx" --fp16 --shapes="image:${batch}x3x512x1024" --threads | tee "result/trtexec_bs$batch.log"
        logs+=("result/trtexec_bs$batch.log")
    else
        device=cuda
        ! python3 -c 'import onnxruntime, sys; sys.exit("TensorrtExecutionProvider" not in onnxruntime.get_available_providers())' || device=tensorrt
        DEVICE=$device python3 -m common.ais_infer --model "$onnx" --output result --output_dirname "gpu_bs$batch" --loop 20 --batchsize "$batch"
        logs+=("result/gpu_bs${batch}_summary.json")
    fi
done
python3 -m common.sweep "${logs[@]}"
