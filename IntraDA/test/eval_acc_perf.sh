#!/usr/bin/env bash
# mIoU on Cityscapes' validation set, performance at each batch size: the Ascend tools where there is an NPU, else ONNX
# Runtime.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/eval_acc_perf.sh --datasets_path=FOLDER [--pth=FILE] [--batch_size=N] [--batch_sizes="N ..."] [--loop=N]
                                  [--devices=IDS]
  --datasets_path  holds leftImg8bit/val and gtFine/val, or cityscapes with them
  --pth            checkpoint (default: cityscapes_easy2hard_intrada_with_norm.pth)
  --batch_size     batch size of the inference (default: 1)
  --batch_sizes    batch sizes to time (default: "1 4 8 16 32")
  --loop           runs per batch size when timing (default: 100 on an NPU, 2 elsewhere)
  --devices        divides the inference of the dataset among these devices: 0,1,2,3 (default: device 0 alone)
LIMIT=N in the environment takes the first N photos.
Exit status: 0; 1 when a stage fails, the outputs do not agree with PyTorch's, or the mIoU falls more than 1 % below its
reference or is one that no working model has; 2 for wrong usage.
END
}
datasets_path='' pth=cityscapes_easy2hard_intrada_with_norm.pth batch_size=1 batch_sizes='1 4 8 16 32' loop='' devices=''
script_options=(datasets_path:path! pth:path batch_size:number batch_sizes:numbers loop:number devices:text)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
on_devices "$devices"
[[ -n ${BENCHMARK[0]}${AIS_INFER[0]} ]] || no_tool benchmark

data=$datasets_path
[[ -d $data/leftImg8bit || ! -d $data/cityscapes ]] || data=$data/cityscapes
[[ -d $data/leftImg8bit/val && -d $data/gtFine/val ]] || {
    echo "error: $datasets_path: expected leftImg8bit/val and gtFine/val, or cityscapes with them, there" >&2
    exit 1
}
[[ -f $pth ]] || { echo "error: $pth: no such checkpoint; give --pth=FILE" >&2; exit 1; }

model() { # the model file for a batch size: an .om is compiled for one, the .onnx takes any
    if [[ $MODEL_SUFFIX == om ]]; then echo "intrada_deeplabv2_bs$1.om"; else echo intrada_deeplabv2.onnx; fi
}

echo "== model =="
all=$batch_sizes
[[ " $all " == *" $batch_size "* ]] || all="$batch_size $all"
WANTED=$MODEL_SUFFIX bash test/pth2om.sh --pth="$pth" --batch_sizes="$all"
for batch in $all; do
    [[ -s $(model "$batch") ]] || { echo "error: $(model "$batch") is missing; CANN's atc makes it (test/pth2om.sh)" >&2; exit 1; }
done

echo "== preprocess =="
python3 -m common.data.fingerprint check # stops when preprocessing is no longer what the model expects
rm -rf prep result/devices* result/dumpOutput_device* result/PureInfer_* result/ais result/pure_bs* result/labels result/pytorch_labels # no tool clears an earlier run's results
mkdir -p result/ais
told=() # an .om alone does not tell its variant: the reference's then
[[ ! -s intrada_deeplabv2.onnx ]] || told=(--onnx intrada_deeplabv2.onnx)
python3 intrada_preprocess.py "$data" prep ${told[@]+"${told[@]}"}
python3 gen_dataset_info.py bin prep intrada.info 512 1024

echo "== inference =="
if [[ -n ${BENCHMARK[0]} ]]; then
    run_tool ${SPLIT[@]+"${SPLIT[@]}"} "${BENCHMARK[@]}" -model_type=vision -device_id=0 -batch_size="$batch_size" -om_path="$(model "$batch_size")" \
        -input_text_path=intrada.info -input_width=1024 -input_height=512 -output_binary=True -useDvpp=False
    keep_results benchmark "$DUMP"
else
    run_tool ${SPLIT[@]+"${SPLIT[@]}"} "${AIS_INFER[@]}" --model "$(model "$batch_size")" --input prep --output result/ais --outfmt BIN --batchsize "$batch_size"
    keep_results ais_bench ais
fi

echo "== accuracy =="
python3 intrada_postprocess.py "$data" result/latest result/labels --prep prep --accuracy result/accuracy.json
# the reference does not identify its checkpoint by a checksum: PyTorch's own result is what the mIoU is held against
python3 -m common.infer.pytorch_infer --pth "$pth" --prep prep --output result/pytorch
python3 intrada_postprocess.py "$data" result/pytorch result/pytorch_labels --prep prep --accuracy result/pytorch_accuracy.json >/dev/null
agree=0
python3 intrada_agreement.py result/latest result/pytorch --output result/agreement.json || agree=$?

echo "== performance =="
[[ -n $loop ]] || loop=$([[ $MODEL_SUFFIX == om ]] && echo 100 || echo 2)
measured=()
for batch in $batch_sizes; do
    if [[ -n ${AIS_INFER[0]} ]]; then
        mkdir -p "result/pure_bs$batch"
        run_tool "${AIS_INFER[@]}" --model "$(model "$batch")" --output "result/pure_bs$batch" --loop "$loop" --batchsize "$batch"
        file=$(summary_of "result/pure_bs$batch")
    else
        run_tool "${BENCHMARK[@]}" -round="$loop" -om_path="$(model "$batch")" -device_id=0 -batch_size="$batch"
        file=result/PureInfer_perf_of_intrada_deeplabv2_bs${batch}_in_device_0.txt
    fi
    measured+=("$file")
done
python3 -m common.judge.sweep "${measured[@]}"

python3 -m common.judge.verdicts judge --accuracy result/accuracy.json --pytorch result/pytorch_accuracy.json --pth "$pth"
exit "$agree"
