#!/usr/bin/env bash
# Pictures, agreement with PyTorch, performance: the Ascend tools where there is an NPU, ONNX Runtime elsewhere.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/eval_acc_perf.sh --datasets_path=CITYSCAPES [--load_pretrain=DIR|FILE] [--input=onehot|labels]
                                  [--devices=IDS]
  --datasets_path  holds test_label and test_inst (made by datasets_deal.py)
  --load_pretrain  folder that holds latest_net_G.pth, or the checkpoint (default: checkpoints/label2city_1024p)
  --input          what the model takes: one-hot planes, 302 MB a sample (default), or label ids and edges, 4.2 MB
  --devices        divides the inference of the dataset among these devices: 0,1,2,3 (default: device 0 alone)
LIMIT=10 in the environment takes the first 10 samples, as the reference did.
Exit status: 0; 1 when a stage fails or the outputs do not agree with PyTorch's; 2 for wrong usage.
END
}
datasets_path='' load_pretrain=checkpoints/label2city_1024p input=onehot devices=''
script_options=(datasets_path:path! load_pretrain:path 'input:onehot|labels' devices:text)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
on_devices "$devices"
[[ -n ${BENCHMARK[0]}${AIS_INFER[0]} ]] || no_tool benchmark
pth=$load_pretrain
[[ -f $pth ]] || pth=$load_pretrain/latest_net_G.pth
[[ -f $pth ]] || { echo "error: $pth: no such checkpoint; give --load_pretrain=DIR" >&2; exit 1; }

echo "== model =="
if [[ $input == labels ]]; then model=pix2pixhd_labels; else model=pix2pixhd; fi
WANTED=$MODEL_SUFFIX bash test/pth2om.sh --load_pretrain="$load_pretrain" --input="$input"
if [[ $MODEL_SUFFIX == om ]]; then model=${model}_bs1.om; else model=$model.onnx; fi
[[ -s $model ]] || { echo "error: $model is missing; CANN's atc makes it (test/pth2om.sh)" >&2; exit 1; }

echo "== preprocess =="
python3 -m common.data.fingerprint check # stops when preprocessing is no longer what the model expects
rm -rf prep result/devices* result/dumpOutput_device* result/perf_vision_* result/ais result/pictures # no tool clears an earlier run's results
mkdir -p result/ais
told=() # an .om alone does not tell its variant: the reference's then
[[ ! -s ${model/%_bs1.om/.onnx} ]] || told=(--onnx "${model/%_bs1.om/.onnx}")
python3 pix2pixhd_preprocess.py "$datasets_path" prep --input "$input" ${told[@]+"${told[@]}"}
python3 get_info.py bin prep pix2pixhd.info 2048 1024

echo "== inference =="
if [[ -n ${BENCHMARK[0]} ]]; then
    run_tool ${SPLIT[@]+"${SPLIT[@]}"} "${BENCHMARK[@]}" -model_type=vision -device_id=0 -batch_size=1 -om_path="$model" -input_text_path=pix2pixhd.info \
        -input_width=2048 -input_height=1024 -output_binary=True -useDvpp=False
    keep_results benchmark "$DUMP"
    measured=result/devices.json
    [[ -n $devices ]] || measured=result/perf_vision_batchsize_1_device_0.txt
else
    run_tool ${SPLIT[@]+"${SPLIT[@]}"} "${AIS_INFER[@]}" --model "$model" --input prep --output result/ais --outfmt BIN --batchsize 1
    keep_results ais_bench ais
    measured=$(summary_of result/ais)
fi

echo "== pictures =="
python3 pix2pixhd_postprocess.py result/latest result/pictures --prep prep --json result/pictures.json

echo "== performance =="
python3 -m common.tools.perf "$measured"

echo "== agreement with PyTorch =="
python3 -m common.infer.pytorch_infer --pth "$pth" --prep prep --output result/pytorch
python3 pix2pixhd_agreement.py result/latest result/pytorch --output result/agreement.json
