#!/usr/bin/env bash
# The grid of digits, the read rate and performance: the Ascend tools where there is an NPU, ONNX Runtime elsewhere.
set -euo pipefail

usage() {
    cat <<'END'
usage: bash test/eval_acc_perf.sh [--pth=FILE] [--seed=N] [--width=N] [--datasets_path=FOLDER]
  --pth            checkpoint of the generator (default: CGAN_G.pth)
  --seed           of the noise (default: 0)
  --width          columns of the input: noise values and classes (default: 72 = 62 + 10)
  --datasets_path  taken as with the other models, and not read: the noise is the data
Exit status: 0; 1 when a stage fails, the pictures do not agree with PyTorch's, or the read rate falls more than 1 %
below PyTorch's or is one that no working model has; 2 for wrong usage.
END
}
pth=CGAN_G.pth seed=0 width=72
# shellcheck disable=SC2034 # taken, as every eval_acc_perf.sh takes it, and not needed
datasets_path=''
script_options=(pth:path seed:whole width:number datasets_path:path)
# shellcheck source=SCRIPTDIR/../env.sh
. "$(dirname "${BASH_SOURCE[0]}")/../env.sh"
[[ -n ${MSAME[0]}${AIS_INFER[0]} ]] || no_tool msame
[[ -f $pth ]] || { echo "error: $pth: no such checkpoint; give --pth=FILE" >&2; exit 1; }

echo "== model =="
model=CGAN_sim.onnx
[[ $MODEL_SUFFIX == onnx ]] || model=CGAN_bs1.om
WANTED=$MODEL_SUFFIX bash test/pth2om.sh --pth="$pth" --width="$width"
[[ -s $model ]] || { echo "error: $model is missing; CANN's atc makes it (test/pth2om.sh)" >&2; exit 1; }

echo "== preprocess =="
python3 -m common.data.fingerprint check # stops when preprocessing is no longer what the model expects
told=() # an .om alone does not tell its variant: the reference's then
[[ ! -s CGAN.onnx ]] || told=(--onnx CGAN.onnx)
python3 CGAN_preprocess.py --save_path prep --seed "$seed" --pth_path "$pth" ${told[@]+"${told[@]}"}
python3 gen_dataset_info.py --dataset_bin prep --info_name CGAN_bin.info --width "$width" --height 100

echo "== inference =="
mkdir -p result
rm -rf result/msame* result/ais* # so that an earlier run's results are not taken for this one's
mkdir result/msame result/msame_perf result/ais result/ais_perf
if [[ -n ${MSAME[0]} ]]; then
    run_tool "${MSAME[@]}" --model "$model" --input prep/input.bin --output result/msame
    keep_results msame msame
else
    run_tool "${AIS_INFER[@]}" --model "$model" --input prep/input.bin --output result/ais --outfmt BIN --batchsize 100
    keep_results ais_bench ais
fi

echo "== accuracy =="
python3 CGAN_postprocess.py --bin_out_path result/latest --save_path result --prep prep --accuracy result/accuracy.json
python3 -m common.infer.pytorch_infer --pth "$pth" --prep prep --output result/pytorch
python3 CGAN_postprocess.py --bin_out_path result/pytorch --prep prep --save_path result/pytorch \
    --accuracy result/pytorch_accuracy.json >/dev/null
agree=0
python3 CGAN_agreement.py result/latest result/pytorch --output result/agreement.json || agree=$?

echo "== performance =="
if [[ -n ${MSAME[0]} ]]; then
    run_tool "${MSAME[@]}" --model "$model" --input prep/input.bin --output result/msame_perf --loop 100 > result/msame.log
    python3 -m common.tools.perf --batch 100 result/msame.log
else
    run_tool "${AIS_INFER[@]}" --model "$model" --input prep/input.bin --output result/ais_perf --loop 100 --batchsize 100
    python3 -m common.tools.perf "$(summary_of result/ais_perf)"
fi

python3 -m common.judge.verdicts judge --accuracy result/accuracy.json --pytorch result/pytorch_accuracy.json --pth "$pth"
exit "$agree"
