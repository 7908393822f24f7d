#!/usr/bin/env bash
# Performance on an NVIDIA GPU as the reference has it: PyTorch's online inference, timed by pix2pixhd_gpu.diff.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/perf_t4.sh --upstream=DIR --datasets_path=CITYSCAPES [--checkpoints_dir=DIR]
       bash test/perf_t4.sh --log=FILE
       bash test/perf_t4.sh --onnx=FILE
  --upstream         clone of pix2pixHD with pix2pixhd_gpu.diff applied
  --datasets_path    holds test_label and test_inst
  --checkpoints_dir  holds label2city_1024p/latest_net_G.pth (default: checkpoints)
  --log              only read the log of an earlier run
  --onnx             offline instead, which the reference never had: trtexec where it is installed, else ONNX Runtime on
                     the GPU; for TensorRT before 8.2 the model must be exported with --reflect_pad slice
END
}
upstream='' datasets_path='' checkpoints_dir=checkpoints log='' onnx=''
script_options=(upstream:path datasets_path:path checkpoints_dir:path log:path onnx:path)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
[[ -n $log || -n $onnx || ( -n $upstream && -n $datasets_path ) ]] || {
    echo "error: give --upstream and --datasets_path, or --log, or --onnx" >&2
    usage >&2
    exit 2
}

if [[ -n $log ]]; then
    python3 pix2pixhd_gpu_log.py "$log"
    exit 0
fi
[[ -z $onnx || -f $onnx ]] || { echo "error: $onnx: no such file; make it with pix2pixhd_pth2onnx.py" >&2; exit 1; }
[[ -n $onnx || -f $upstream/test.py ]] || {
    echo "error: $upstream/test.py: no such file; clone pix2pixHD there" >&2
    exit 1
}
[[ -n $onnx ]] || grep -q 本次生成图像耗时 "$upstream/test.py" || {
    echo "error: $upstream/test.py does not time its images; apply pix2pixhd_gpu.diff there" >&2
    exit 1
}
require_gpu
mkdir -p result
if [[ -z $onnx ]]; then
    (cd "$upstream" && python3 test.py --name label2city_1024p --netG local --ngf 32 --resize_or_crop none \
        --dataroot "$datasets_path" --checkpoints_dir "$checkpoints_dir" --how_many "${LIMIT:-10}") | tee result/gpu.log || {
        echo "error: the upstream's test.py failed; its own messages say why" >&2
        exit 1
    }
    python3 pix2pixhd_gpu_log.py result/gpu.log --json result/gpu.json
elif command -v trtexec >/dev/null; then
    half_precision
    # the shape is fixed: no --shapes; whether it went well is read off the log
    trtexec --onnx="$onnx" ${FP16[@]+"${FP16[@]}"} --threads | tee result/trtexec.log || true
    python3 -m common.tools.perf --batch 1 result/trtexec.log
else
    DEVICE=$(gpu_device) python3 -m common.tools.benchmark -round=20 -om_path="$onnx" -device_id=0 -batch_size=1
    python3 -m common.tools.perf "result/onnxruntime_pure_$(basename "$onnx" .onnx)_device_0.json"
fi
