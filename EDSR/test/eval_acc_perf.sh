#!/usr/bin/env bash
# Accuracy on a dataset and performance at 256x256: the Ascend tools where there is an NPU, ONNX Runtime elsewhere.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/eval_acc_perf.sh --datasets_path=FOLDER [--pth=FILE] [--size=N] [--res_scale=X] [--devices=IDS]
  --datasets_path  holds div2k/LR and div2k/HR, or LR and HR
  --pth            checkpoint (default: edsr_baseline_x2-1bc95232.pt)
  --size           side that pictures are padded to (default: the longest side in LR)
  --res_scale      weight of the residual branches, which stands in no tensor (default: 0.1 for more than 64
                   features, else 1)
  --devices        divides the inference of the dataset among these devices: 0,1,2,3 (default: device 0 alone)
Exit status: 0; 1 when a stage fails, the outputs do not agree with PyTorch's, or the PSNR falls more than 1 % below its
reference or is one that no working model has; 2 for wrong usage.
END
}
datasets_path='' pth=edsr_baseline_x2-1bc95232.pt size='' res_scale='' devices=''
script_options=(datasets_path:path! pth:path size:number res_scale:text devices:text)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
on_devices "$devices"
[[ -n ${BENCHMARK[0]}${AIS_INFER[0]} ]] || no_tool benchmark

data=$datasets_path/div2k
[[ -d $data/LR ]] || data=$datasets_path
[[ -d $data/LR && -d $data/HR ]] || {
    echo "error: $datasets_path: expected LR and HR, or div2k/LR and div2k/HR, there" >&2
    exit 1
}
[[ -f $pth ]] || { echo "error: $pth: no such checkpoint; give --pth=FILE" >&2; exit 1; }
[[ -n $size ]] || size=$(python3 get_max_size.py --dir "$data/LR")

echo "== model =="
model=edsr_x2_$size.$MODEL_SUFFIX
WANTED=$MODEL_SUFFIX bash test/pth2om.sh --pth="$pth" --size="$size" ${res_scale:+--res_scale="$res_scale"}
[[ -s $model ]] || { echo "error: $model is missing; CANN's atc makes it (test/pth2om.sh)" >&2; exit 1; }

echo "== preprocess =="
python3 -m common.data.fingerprint check # stops when preprocessing is no longer what the model expects
rm -rf prep result/devices* result/dumpOutput_device* result/PureInfer_* result/ais* result/save result/pytorch_save # no tool clears an earlier run's results
mkdir -p result/ais result/ais_perf
told=() # an .om alone does not tell its variant: the reference's then
[[ ! -s edsr_x2_$size.onnx ]] || told=(--onnx "edsr_x2_$size.onnx")
python3 edsr_preprocess.py -s "$data/LR" -d prep --size "$size" --HR "$data/HR" ${told[@]+"${told[@]}"}
python3 get_info.py bin prep/bin edsr_bin.info "$size" "$size"

echo "== inference =="
if [[ -n ${BENCHMARK[0]} ]]; then
    run_tool ${SPLIT[@]+"${SPLIT[@]}"} "${BENCHMARK[@]}" -model_type=vision -device_id=0 -batch_size=1 -om_path="$model" -input_text_path=edsr_bin.info \
        -input_width="$size" -input_height="$size" -output_binary=True -useDvpp=False
    keep_results benchmark "$DUMP"
else
    run_tool ${SPLIT[@]+"${SPLIT[@]}"} "${AIS_INFER[@]}" --model "$model" --input prep/bin --output result/ais --outfmt BIN --batchsize 1
    keep_results ais_bench ais
fi

echo "== accuracy =="
python3 edsr_postprocess.py --res result/latest --HR "$data/HR" --LR "$data/LR" --prep prep \
    --accuracy result/accuracy.json
# a PSNR can hold where the pictures do not: the outputs themselves are held to PyTorch's
python3 -m common.infer.pytorch_infer --pth "$pth" --prep prep --output result/pytorch
agree=0
python3 -m common.judge.agreement result/latest result/pytorch --output result/agreement.json || agree=$?
# the published figure counts for the published checkpoint on the whole of DIV2K, PyTorch's own result otherwise
if ! python3 -m common.judge.verdicts published --accuracy result/accuracy.json --pth "$pth"; then
    python3 edsr_postprocess.py --res result/pytorch --HR "$data/HR" --prep prep --save result/pytorch_save \
        --json result/pytorch_result.json --accuracy result/pytorch_accuracy.json >/dev/null
fi

echo "== performance =="
if [[ -n ${BENCHMARK[0]} ]]; then
    run_tool "${BENCHMARK[@]}" -round=20 -om_path="edsr_x2_256.$MODEL_SUFFIX" -device_id=0 -batch_size=1
    python3 -m common.tools.perf --batch 1 result/PureInfer_perf_of_edsr_x2_256_in_device_0.txt
else
    run_tool "${AIS_INFER[@]}" --model "edsr_x2_256.$MODEL_SUFFIX" --output result/ais_perf --loop 20 --batchsize 1
    python3 -m common.tools.perf "$(summary_of result/ais_perf)"
fi

python3 -m common.judge.verdicts judge --accuracy result/accuracy.json --pytorch result/pytorch_accuracy.json --pth "$pth"
exit "$agree"
