"""Stands in for ais_bench and, before it, ais_infer.py: flags, files and printed lines of the generation STANDIN_AIS.

2022-07: results are only numbered, sumary.json inside the folder, a last batch that is not full is dropped.
2022-09: results named after the input, the last batch filled up; an existing folder is refused.
2022-11 and 2023 (the default): the summary lies beside the folder; in 2023 the model's batch counts.
2024: as 2023, and a model or an input that is a link, that the group or others can write, that is another's or whose
path holds other characters than letters, digits and _./- is refused.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import stat
import sys
from datetime import datetime
from typing import Any, Dict, List

import numpy as np

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
import standin  # noqa: E402

GENERATION = os.environ.get("STANDIN_AIS", "2023")
PURE, FILL = "pure_infer_data", "padding_infer_fake_file"


def info(text: str) -> None:
    print(f"[INFO] {text}", flush=True)


def error(text: str) -> None:
    print(f"[ERROR] {text}", flush=True)
    raise RuntimeError()


def legal(path: str) -> bool:
    """What the generation of 2023-09 and later takes as a path to read, and each file in a folder."""
    about = os.lstat(path)
    if not re.fullmatch(r"[A-Za-z0-9_./-]+", path) or stat.S_ISLNK(about.st_mode) or about.st_mode & 0o022:
        return False
    return about.st_uid in (0, os.geteuid()) or about.st_gid in os.getgroups()


def input_path(text: str) -> str:
    if GENERATION >= "2024":
        for path in text.split(","):
            if not os.path.exists(path) or not legal(path):
                raise argparse.ArgumentTypeError(f"input path:{path} is illegal. Please check.")
    return text


def model_path(text: str) -> str:
    if GENERATION >= "2024" and os.path.exists(text) and not legal(text):
        raise argparse.ArgumentTypeError(f"om path:{text} is illegal. Please check.")
    return text


def at_least(low: int) -> Any:
    def number(text: str) -> int:
        if not text.isdigit() or int(text) < low:
            raise argparse.ArgumentTypeError(f"{text} is invalid, expected at least {low}")
        return int(text)
    return number


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser()
    made.add_argument("--model", *(["-m"] if GENERATION >= "2023" else ["--om"]), required=True, type=model_path)
    made.add_argument("--input", "-i", type=input_path)
    made.add_argument("--output", "-o")
    made.add_argument("--outfmt", default="BIN", choices=["NPY", "BIN", "TXT"])
    made.add_argument("--loop", "-l" if GENERATION >= "2023" else "-r", type=at_least(1), default=1)
    made.add_argument("--batchsize", type=at_least(1), default=None if GENERATION >= "2023" else 1)
    made.add_argument("--device", *(["-d"] if GENERATION >= "2023" else []), type=int, default=0, choices=range(256))
    made.add_argument("--debug", default="False")
    made.add_argument("--pure_data_type", default="zero", choices=["zero", "random"])
    if GENERATION >= "2022-09":
        made.add_argument("--output_dirname")
    if GENERATION >= "2022-11":
        made.add_argument("--warmup_count", type=at_least(0), default=1)
        made.add_argument("--display_all_summary", type=lambda text: text.lower() in ("1", "true"), default=False)
        made.add_argument("--run_mode", default="array", choices=["array", "files", "tensor", "full"])
        made.add_argument("--output_batchsize_axis", type=at_least(0), default=0)
    return made


def natural(path: str) -> List[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.lower())]


def listed(text: str, count: int) -> List[List[str]]:
    """The files of each sample, one per model input."""
    names = text.split(",")
    if os.path.isfile(names[0]):
        if len(names) % count:
            error(f"fileslist:{len(names)} intensor:{count} not match")
        each = len(names) // count
        columns = [names[start:start + each] for start in range(0, each * count, each)]
    else:
        if len(names) != count:
            error(f"args input length:{len(names)} not match model inputs:{count}")
        columns = [sorted((os.path.join(name, entry) for entry in os.listdir(name)
                           if entry.endswith((".npy", ".NPY", ".bin", ".BIN"))), key=natural) for name in names]
    for name in (name for column in columns for name in column):
        if GENERATION >= "2024" and not legal(name):
            raise RuntimeError(f"input data:{name} is illegal")
    if not columns or not columns[0] or len({len(column) for column in columns}) > 1:
        error("input filelist length not match")
    return [list(row) for row in zip(*columns)]


def read(path: str) -> bytes:
    if path.lower().endswith(".npy"):
        return np.load(path).tobytes()
    with open(path, "rb") as file:
        return file.read()


def save(path: str, array: np.ndarray, form: str) -> None:
    if form == "BIN":
        array.tofile(path)
    elif form == "NPY":
        np.save(path, array)
    else:
        with open(path, "ab" if GENERATION <= "2022-09" else "wb") as file:
            for row in array.reshape(-1, array.shape[-1]):
                np.savetxt(file, row, fmt="%f" if array.dtype.kind == "f" else "%d", newline=" ")
                file.write(b"\n")


def figures(values: List[float]) -> Dict[str, float]:
    found = {"min": min(values), "max": max(values), "mean": float(np.mean(values)),
             "median": float(np.median(values)), "percentile(99%)": float(np.percentile(values, 99))}
    return {**found, "count": len(values)} if GENERATION >= "2022-11" else found


def result_folder(args: argparse.Namespace) -> str:
    stamp = datetime.fromtimestamp(standin.clock()).strftime("%Y_%m_%d-%H_%M_%S")
    folder = os.path.join(args.output, getattr(args, "output_dirname", None) or stamp)
    if GENERATION >= "2022-11":
        os.makedirs(folder, 0o755, exist_ok=True)
    else:
        os.mkdir(folder, 0o755)
    return folder


def main(program: str = "ais_bench") -> None:
    standin.called(program)
    args = parser().parse_args()
    if GENERATION >= "2023" and args.output_dirname and not args.output:
        error("parameter --output_dirname cann't be used alone. Please use it together with the parameter --output!")
    if not args.model.endswith(".om"):
        error(f"{args.model} is not an .om")
    info("acl init success")
    info(f"open device {args.device} success")
    if standin.failing() == "1":
        error("load model from file failed")
    try:
        model = standin.Model(args.model)
    except standin.LoadError:
        error(f"load model from file failed, model file is {args.model}")
    info(f"load model {args.model} success")
    info("create model description success")
    batch = args.batchsize or model.batch
    if args.batchsize is None:
        info(f"try get model batchsize:{batch}")
    folder = result_folder(args) if args.output else None
    if folder:
        info(f"output path:{folder}")
    infer(args, model, batch, folder)
    info("unload model success, model Id is 1")
    info("end to destroy context")
    info(f"end to reset device is {args.device}")
    info("end to finalize acl")


def infer(args: argparse.Namespace, model: standin.Model, batch: int, folder: str) -> None:
    whole, axis = model.input_bytes(), getattr(args, "output_batchsize_axis", 0)
    warm_ups = {"2022-07": 5, "2022-09": 1}.get(GENERATION) or args.warmup_count
    if args.input:
        inputs = listed(args.input, len(whole))
        size = len(read(inputs[0][0]))
        if size == 0 or whole[0] % size:
            error(f"arg0 tensorsize: {whole[0]} filesize: {size} not match")
        group = whole[0] // size
        if GENERATION == "2022-07":
            inputs = inputs[:len(inputs) // group * group]
            if not inputs:
                error("the number of input files is less than filesperbatch")
        info(f"get filesperbatch files0 size:{size} tensor0size:{whole[0]} filesperbatch:{group} "
             f"runcount:{-(-len(inputs) // group)}")
    else:
        inputs, group = [[PURE] * len(whole)], 1
    costs: List[float] = []
    listing: Dict[str, Dict[str, List[str]]] = {}
    for start in range(0, len(inputs), group):
        part = inputs[start:start + group]
        filled = part + part[:1] * (group - len(part))  # with the batch's first file
        buffers = [b"".join(bytes(whole[place]) if sample[place] == PURE else read(sample[place])
                            for sample in filled) for place in range(len(whole))]
        for place, buffer in enumerate(buffers):
            if len(buffer) != whole[place]:
                error(f"arg{place} tensorsize: {whole[place]} filesize: {len(buffer)} not match")
        if start == 0:
            if not args.input and args.pure_data_type == "random":
                buffers = [os.urandom(size) for size in whole]
            for _ in range(warm_ups):
                model.run(buffers)
            if GENERATION > "2022-07":  # which runs them and does not say so
                info(f"warm up {warm_ups}" + (" times done" if GENERATION <= "2022-09" else " done"))
        own: List[float] = []
        for _ in range(args.loop):
            outputs, cost = model.run(buffers)
            own.append(float(np.float32(round(cost, 3))))
        costs += [sum(own) / len(own)] if GENERATION == "2022-07" else own
        for output in outputs:
            if output.shape[axis] % group:
                error(f"save out files error array shape:{output.shape}")
        for place, sample in enumerate(part):
            names = []
            for number, output in enumerate(outputs):
                stem = os.path.basename(sample[0]).split(".")[0]
                if GENERATION == "2022-07":
                    stem = f"input{start + place}_output"
                if folder:
                    names.append(os.path.join(folder, f"{stem}_{number}.{args.outfmt.lower()}"))
                    save(names[-1], np.array_split(output, group, axis)[place], args.outfmt)
            listing[str(start + place)] = {"infiles": sample, "outfiles": names}
    summary: Dict[str, Any] = {
        "filesinfo": listing, "args": sys.argv, "NPU_compute_time": figures(costs), "H2D_latency": figures([0.05] * 2),
        "D2H_latency": figures([0.05] * 2), "throughput": 1000 * batch / figures(costs)["mean"]}
    if GENERATION >= "2022-11":
        summary.update(npu_compute_time_list=costs, pid=os.getpid())
    report(summary, batch, GENERATION <= "2022-09" or args.display_all_summary)
    if folder:
        with open(f"{folder}_summary.json" if GENERATION >= "2022-11" else os.path.join(folder, "sumary.json"), "w",
                  encoding="utf-8") as file:
            json.dump(summary, file)


def report(summary: Dict[str, Any], batch: int, everything: bool) -> None:
    def line(name: str) -> None:
        shown = ", ".join(f"{key} = {value}" for key, value in summary[name].items() if key != "count")
        info(f"{name} (ms): {shown}")
    info("-----------------Performance Summary------------------")
    if everything:
        line("H2D_latency")
    line("NPU_compute_time")
    if everything:
        line("D2H_latency")
    mean = summary["NPU_compute_time"]["mean"]
    formula = {"2022-07": "(1000*batchsize/NPU_compute_time)",
               **dict.fromkeys(("2023", "2024"), f"1000*batchsize.mean({batch})/NPU_compute_time.mean({mean})")}.get(
                   GENERATION, f"1000*batchsize({batch})/NPU_compute_time.mean({mean})")
    info(f"throughput {formula}: {summary['throughput']}")
    info("------------------------------------------------------")


if __name__ == "__main__":
    main()
