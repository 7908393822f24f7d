#!/usr/bin/env bash
# Accuracy at batch 1 and 16, performance at each batch size: the Ascend tools where there is an NPU, else ONNX Runtime.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/eval_acc_perf.sh --datasets_path=FOLDER [--pth=FILE] [--loop=N] [--devices=IDS]
  --datasets_path  holds images and masks/0, or dsb2018_96 with them, or stage1_train (Kaggle's raw layout)
  --pth            checkpoint (default: nested_unet.pth)
  --loop           runs per batch size when timing (default: 100 on an NPU, 10 elsewhere)
  --devices        divides the inference of the dataset among these devices: 0,1,2,3 (default: device 0 alone)
A list val_ids.txt in the dataset's folder is used in place of this folder's.
Exit status: 0; 1 when a stage fails, the outputs do not agree with PyTorch's, or an IoU falls more than 1 % below its
reference or is one that no working model has; 2 for wrong usage.
END
}
datasets_path='' pth=nested_unet.pth loop='' devices=''
script_options=(datasets_path:path! pth:path loop:number devices:text)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
on_devices "$devices"
[[ -n ${AIS_INFER[0]}${BENCHMARK[0]} ]] || no_tool benchmark

ids=val_ids.txt
for own in "$datasets_path/val_ids.txt" "$datasets_path/dsb2018_96/val_ids.txt"; do
    [[ ! -f $own ]] || ids=$own
done
data=$datasets_path
[[ ! -d $data/dsb2018_96 ]] || data=$data/dsb2018_96
if [[ ! -d $data/images && -d $data/stage1_train ]]; then
    echo "== raw data =="
    data=result/dsb2018_96
    python3 prepare_dsb2018.py "$datasets_path/stage1_train" "$data" --ids "$ids"
fi
[[ -d $data/images && -d $data/masks/0 ]] || {
    echo "error: $datasets_path: expected images and masks/0, dsb2018_96 with them, or stage1_train there" >&2
    exit 1
}
[[ -f $pth ]] || { echo "error: $pth: no such checkpoint; give --pth=FILE" >&2; exit 1; }

model() { # the model file for a batch size: an .om is compiled for one, the .onnx takes any
    if [[ $MODEL_SUFFIX == om ]]; then echo "nested_unet_bs$1.om"; else echo nested_unet.onnx; fi
}

echo "== model =="
WANTED=$MODEL_SUFFIX bash test/pth2om.sh --pth="$pth"
for batch in 1 4 8 16 32; do
    [[ -s $(model $batch) ]] || { echo "error: $(model $batch) is missing; CANN's atc makes it (test/pth2om.sh)" >&2; exit 1; }
done

echo "== preprocess =="
python3 -m common.data.fingerprint check # stops when preprocessing is no longer what the model expects
rm -rf prep result/bs* result/pure_bs* result/PureInfer_* # no tool clears an earlier run's results
mkdir -p result
told=() # an .om alone does not tell its variant: the reference's then
[[ ! -s nested_unet.onnx ]] || told=(--onnx nested_unet.onnx)
python3 preprocess_nested_unet.py "$data/images" prep "$ids" ${told[@]+"${told[@]}"}
python3 gen_dataset_info.py bin prep nested_unet_prep_bin.info 96 96

status=0
# first, since each batch's outputs are held to it. The published figure is of a checkpoint that was not published:
# PyTorch's own result is the reference
echo "== PyTorch =="
python3 -m common.infer.pytorch_infer --pth "$pth" --prep prep --output result/pytorch
python3 postprocess_nested_unet.py result/pytorch "$data/masks/0" --prep prep --accuracy result/pytorch_accuracy.json >/dev/null

for batch in 1 16; do
    echo "== inference, batch $batch =="
    if [[ -n ${AIS_INFER[0]} ]]; then
        mkdir -p "result/bs$batch"
        run_tool ${SPLIT[@]+"${SPLIT[@]}"} "${AIS_INFER[@]}" --model "$(model $batch)" --input prep --output "result/bs$batch" --outfmt BIN --batchsize "$batch"
        keep_results ais_infer "bs$batch"
    else # machines from before ais_infer
        rm -rf result/devices* result/dumpOutput_device*
        run_tool ${SPLIT[@]+"${SPLIT[@]}"} "${BENCHMARK[@]}" -model_type=vision -device_id=0 -batch_size="$batch" -om_path="$(model $batch)" \
            -input_text_path=nested_unet_prep_bin.info -input_width=96 -input_height=96 -output_binary=True -useDvpp=False
        keep_results benchmark "$DUMP"
    fi
    echo "== accuracy, batch $batch =="
    python3 postprocess_nested_unet.py result/latest "$data/masks/0" --prep prep --accuracy "result/accuracy_bs$batch.json"
    python3 -m common.judge.agreement result/latest result/pytorch --output "result/agreement_bs$batch.json" || status=1
done

echo "== performance =="
[[ -n $loop ]] || loop=$([[ $MODEL_SUFFIX == om ]] && echo 100 || echo 10)
measured=()
for batch in 1 4 8 16 32; do
    if [[ -n ${AIS_INFER[0]} ]]; then
        mkdir -p "result/pure_bs$batch"
        run_tool "${AIS_INFER[@]}" --model "$(model $batch)" --output "result/pure_bs$batch" --loop "$loop" --batchsize "$batch"
        file=$(summary_of "result/pure_bs$batch")
    else
        run_tool "${BENCHMARK[@]}" -round="$loop" -om_path="$(model $batch)" -device_id=0 -batch_size="$batch"
        file=result/PureInfer_perf_of_nested_unet_bs${batch}_in_device_0.txt
    fi
    measured+=("$file")
done
python3 -m common.judge.sweep "${measured[@]}"

for batch in 1 16; do
    echo "batch $batch:"
    python3 -m common.judge.verdicts judge --accuracy "result/accuracy_bs$batch.json" --pytorch result/pytorch_accuracy.json --pth "$pth" || status=1
done
exit $status
