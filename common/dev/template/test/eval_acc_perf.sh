#!/usr/bin/env bash
# Accuracy at batch 1, performance at each batch size: the Ascend tools where there is an NPU, else ONNX Runtime.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/eval_acc_perf.sh --datasets_path=FOLDER [--pth=FILE] [--loop=N] [--devices=IDS]
  --datasets_path  holds images and labels.txt
  --pth            checkpoint (default: template_name.pth)
  --loop           runs per batch size when timing (default: 10)
  --devices        divides the inference of the dataset among these devices: 0,1,2,3 (default: device 0 alone)
Exit status: 0; 1 when a stage fails, the outputs do not agree with PyTorch's or the accuracy falls; 2 for wrong usage.
END
}
datasets_path='' pth=template_name.pth loop=10 devices=''
script_options=(datasets_path:path! pth:path loop:number devices:text)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
on_devices "$devices"
[[ -n ${AIS_INFER[0]} ]] || no_tool ais_bench
[[ -d $datasets_path/images && -f $datasets_path/labels.txt ]] || {
    echo "error: $datasets_path: expected images and labels.txt there" >&2
    exit 1
}
[[ -f $pth ]] || { echo "error: $pth: no such checkpoint; give --pth=FILE" >&2; exit 1; }
model() { if [[ $MODEL_SUFFIX == om ]]; then echo "template_name_bs$1.om"; else echo template_name.onnx; fi; }

echo "== model =="
WANTED=$MODEL_SUFFIX bash test/pth2om.sh --pth="$pth"

echo "== preprocess =="
python3 -m common.data.fingerprint check # stops when preprocessing is no longer what the model expects
rm -rf prep result/bs* result/pure_bs*   # no tool clears an earlier run's results
python3 template_name_preprocess.py "$datasets_path/images" prep

echo "== inference =="
mkdir -p result/bs1
run_tool ${SPLIT[@]+"${SPLIT[@]}"} "${AIS_INFER[@]}" --model "$(model 1)" --input prep --output result/bs1 --outfmt BIN --batchsize 1
keep_results ais_infer bs1

echo "== accuracy =="
python3 template_name_postprocess.py result/latest "$datasets_path/labels.txt" --prep prep --accuracy result/accuracy.json
python3 -m common.infer.pytorch_infer --pth "$pth" --prep prep --output result/pytorch
python3 template_name_postprocess.py result/pytorch "$datasets_path/labels.txt" --prep prep \
    --accuracy result/pytorch_accuracy.json >/dev/null
python3 -m common.judge.agreement result/latest result/pytorch

echo "== performance =="
measured=()
for batch in 1 4 8; do
    mkdir -p "result/pure_bs$batch"
    run_tool "${AIS_INFER[@]}" --model "$(model $batch)" --output "result/pure_bs$batch" --loop "$loop" --batchsize "$batch"
    measured+=("$(summary_of "result/pure_bs$batch")")
done
python3 -m common.judge.sweep "${measured[@]}"
python3 -m common.judge.verdicts judge --accuracy result/accuracy.json --pytorch result/pytorch_accuracy.json --pth "$pth"
