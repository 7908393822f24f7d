"""ONNX Runtime, or OpenVINO, in place of Ascend's `ais_infer` / `ais_bench`: same flags, files and printed lines.

`--layout new` (2022-11 and later) names outputs `<stem>_<i>` and leaves `<folder>_summary.json` beside the folder;
`--layout old` (2022-07) names them `input<n>_output_<i>` and leaves `sumary.json` inside.
"""
from __future__ import annotations

import argparse
import json
import os
import re
import sys
from datetime import datetime
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from common.base import errors, files, names, settings
from common.base.errors import UserError
from common.engines import engine, sessions, timing
from common.infer import offline
from common.infer.offline import Sample

NPU_ONLY = ("--dump", "--profiler", "--acl_json_path", "--dymHW", "--dymDims", "--dymShape", "--dymShape_range",
            "--auto_set_dymdims_mode", "--aipp_config",
            "--energy_consumption", "--npu_id", "--pipeline", "--perf", "--backend", "--dump_npy", "--divide_input")
SINCE_2022_09 = ("--output_dirname", "--warmup_count", "--display_all_summary", "--run_mode")
"""Flags that the generation of `--layout old` does not have yet."""
PURE = "pure_infer_data"


def device(text: str) -> int:
    """An argparse type: one device's id; the tool takes several since 2023, which common.devices does here."""
    if "," in text:
        raise argparse.ArgumentTypeError(f"{text}: several devices: python3 -m common.devices {text} -- and this line "
                                         "without --device")
    return offline.whole(0, 255)(text)


def natural_key(path: str) -> List[Any]:
    """Sorts `a2` before `A10`: lower case, runs of digits as numbers."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"([0-9]+)", path.lower()))]


def list_inputs(text: str, inputs: int, count: Optional[int] = None) -> List[Tuple[str, ...]]:
    """The files of each sample, one per model input, that `--input` stands for.

    A comma list of folders, one per model input, holds `.npy` and `.bin` files in natural order; a comma list of files
    has all files of the first input, then those of the second, and so on.
    """
    given = text.split(",")
    if os.path.isfile(given[0]):
        if len(given) % inputs:
            raise UserError(f"--input: names {len(given)} files, the model has {inputs} inputs")
        each = len(given) // inputs
        columns = [given[start:start + each] for start in range(0, len(given), each)]
    else:
        if len(given) != inputs:
            raise UserError(f"--input: names {len(given)} folders, the model has {inputs} inputs")
        columns = []
        for name in given:
            files.existing_folder(name, ".bin or .npy files")
            found = [os.path.join(name, entry) for entry in os.listdir(name)
                     if entry.endswith((".npy", ".NPY", ".bin", ".BIN")) and not entry.startswith(".")]
            columns.append(sorted(found, key=natural_key))
        if not columns[0]:
            raise UserError(f"{given[0]}: holds no .bin or .npy file; run the preprocess script first")
        if len({len(column) for column in columns}) > 1:
            raise UserError(f"--input: {', '.join(f'{n}: {len(c)}' for n, c in zip(given, columns))} files; every "
                            "folder must have as many")
    return list(zip(*columns))[:count]


def save_text(path: str, array: Any) -> None:
    """One output as text: a row of the last dimension per line, `%f` or `%d` and a blank per value."""
    import numpy as np
    rows = array.reshape(-1, array.shape[-1] if array.ndim else 1)
    with files.atomic(path) as temporary:
        np.savetxt(temporary, rows, fmt="%f" if array.dtype.kind == "f" else "%d", newline=" \n")


def save_npy(path: str, array: Any) -> None:
    """One output as a NumPy array."""
    import numpy as np
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        np.save(file, array)


SAVE = {"BIN": (offline.save_binary, 1.0), "NPY": (save_npy, 1.0), "TXT": (save_text, 4.0)}


def statistic(values: Sequence[float], counted: bool) -> Dict[str, float]:
    """The tool's figures: min, max, mean, median, 99th percentile in ms, and, if `counted`, how many."""
    found = timing.summarise(values)
    named = {"min": found["min"], "max": found["max"], "mean": found["mean"], "median": found["median"],
             "percentile(99%)": found["p99"]}
    return {**named, "count": len(values)} if counted else named


def model_batch(session: engine.Engine, args: argparse.Namespace) -> int:
    """The model's own batch; where it leaves that free, `--dymBatch` or `--batchsize`, else 1."""
    shape = session.inputs[0].shape
    return (shape[0] if shape else 1) or args.dymBatch or args.batchsize or 1


def choose_batch(session: engine.Engine, args: argparse.Namespace) -> Tuple[int, int]:
    """Samples per run, and the batch that the tool multiplies its rate by.

    A run takes `model_batch`. The rate's is `--batchsize` as given; without it the model's (said), but 1 in `--layout old`.
    """
    batch = model_batch(session, args)
    if args.batchsize:
        return batch, args.batchsize
    if args.layout == "old":
        return batch, 1
    print(f"[INFO] try get model batchsize:{batch}")
    return batch, batch


def lay_out(session: engine.Engine, batch: int, samples: Sequence[Tuple[str, ...]]) -> offline.Plan:
    """How many files fill a batch, by the size of the first: it must divide the first input without a rest."""
    whole = offline.input_bytes(session, batch)
    if not samples:
        return offline.plan(session, batch, 1)
    path = str(files.existing_file(samples[0][0], "an input file"))
    size = offline.file_bytes(samples[0][0], session.inputs[0].dtype)
    if not size or whole % size:
        raise UserError(f"{path}: arg0 tensorsize: {whole} filesize: {size} not match: a batch of {batch} must be a "
                        "multiple of the file; check --batchsize and the preprocess script")
    return offline.plan(session, batch, whole // size)


def lay_out_free(session: engine.Engine, batch: int, samples: Sequence[Tuple[str, ...]],
                 asked: bool) -> Tuple[offline.Plan, Sequence[Tuple[int, ...]]]:
    """The plan, and each sample's height and width: with `--auto_set_dymshape_mode` (asked) those of its `.npy` file.

    Raises `UserError` where the model's sizes are fixed, and for a `.bin` file: as for the real tool, it has no shape.
    """
    if asked and not offline.is_free(session):
        raise UserError(f"--auto_set_dymshape_mode: {session.path} does not leave height and width free; leave it out")
    if not asked:
        return lay_out(session, batch, samples), [()] * len(samples)
    odd = next((path for path, in samples if not path.lower().endswith(".npy")), None)
    if odd is not None or not samples:
        raise UserError(f"{odd or '--input'}: --auto_set_dymshape_mode takes .npy files, which tell their shapes; the "
                        "preprocess script's --npy writes them")
    shapes = [offline.npy_shape(path) for path, in samples]
    odd = next((path for (path,), shape in zip(samples, shapes) if len(shape) != 4), None)
    if odd is not None:
        raise UserError(f"{odd}: expected an array of four dimensions, N,C,H,W")
    return offline.of_sizes(session, batch, batch, lambda: [(shape[2], shape[3]) for shape in shapes], len(samples))


def run(args: argparse.Namespace, session: engine.Engine, argv: Optional[Sequence[str]]) -> None:
    """Run all, printing what ais_infer prints; with `--output` leave outputs, summary and record."""
    old = args.layout == "old"
    print(f"[INFO] acl init success\n[INFO] open device {args.device} success\n[INFO] load model {args.model} success\n"
          "[INFO] create model description success")
    batch, factor = choose_batch(session, args)
    inputs = list_inputs(args.input, len(session.inputs), settings.limit()) if args.input else []
    layout, sizes = lay_out_free(session, batch, inputs, args.auto_set_dymshape_mode)
    if old and inputs:
        whole = len(inputs) // layout.files_per_batch * layout.files_per_batch
        if not whole:
            raise UserError(f"--input: {len(inputs)} files do not fill a batch of {layout.files_per_batch}, and the "
                            "generation of --layout old drops a batch that is not full; leave --layout out")
        inputs = inputs[:whole]
    recipe = offline.recipe("ais_infer", session, batch, outfmt=args.outfmt, layout=args.layout, loop=args.loop,
                              warm_up=args.warmup_count, axis=args.output_batchsize_axis, fill=args.pure_data_type)
    folder = None
    if args.output:
        if old and not os.path.isdir(args.output):
            raise UserError(f"{args.output}: does not exist, and this generation makes one level only; mkdir -p it")
        stamp = f"{datetime.now():%Y_%m_%d-%H_%M_%S}"
        name = args.output_dirname or offline.result_folder(args.output, stamp, recipe)
        folder = os.path.join(args.output, name)
    samples = name_outputs(inputs, folder, old, args.outfmt.lower(), len(session.outputs))
    if inputs:
        samples = [sample._replace(size=size) for sample, size in zip(samples, sizes)]
    save, growth = SAVE[args.outfmt]
    work = offline.Run(session, layout, samples, save, offline.beside(folder) if folder else None, recipe,
                       axis=args.output_batchsize_axis, growth=growth,
                       fill="zero" if inputs else args.pure_data_type)
    if folder:
        print(f"[INFO] output path:{folder}")
    if inputs:
        size = offline.fit(session, layout, sizes[0]).file_bytes[0]
        print(f"[INFO] get filesperbatch files0 size:{size} "
              f"tensor0size:{size * layout.files_per_batch} filesperbatch:{layout.files_per_batch} "
              f"runcount:{len(work.todo)}")
    runs = 5 if old else 1 if args.warmup_count is None else args.warmup_count
    work.warm_up(runs)
    if not old:
        print(f"[INFO] warm up {runs} done", flush=True)
    for group in work.progress("Inference array Processing"):
        arrays = work.read(group)
        for _ in range(args.loop):
            outputs = work.infer(arrays)
        work.write(group, outputs)
    summary = summarise(work, old, factor)
    for line in summary_lines(summary, factor, old, args.display_all_summary):
        print(f"[INFO] {line}")
    if folder:
        write_summary(work, summary, folder, old, argv)
    print("[INFO] unload model success, model Id is 1\n[INFO] end to destroy context\n"
          f"[INFO] end to reset device is {args.device}\n[INFO] end to finalize acl")


def name_outputs(inputs: Sequence[Tuple[str, ...]], folder: Optional[str], old: bool, suffix: str,
                 count: int) -> List[Sample]:
    """Samples with their output files: `<stem up to the first dot>_<i>`, old: `input<n>_output_<i>`; i, n from 0."""
    samples = []
    for number, paths in enumerate(inputs or [()]):
        stem = os.path.basename(paths[0]).split(".")[0] if paths else PURE
        stem = f"input{number}_output" if old else stem
        outputs = tuple(os.path.join(folder, f"{stem}_{index}.{suffix}") for index in range(count)) if folder else ()
        samples.append(Sample(paths[0] if paths else PURE, paths, outputs))
    return samples


def summarise(work: offline.Run, old: bool, factor: int) -> Dict[str, Any]:
    """The figures of the summary JSON; factor: the rate's batch. Old: one mean of the loop per batch; new: every run."""
    batches = work.batches()
    means = [sum(batch["compute_ms"]) / len(batch["compute_ms"]) for batch in batches]
    compute = means if old else work.compute_list()
    summary: Dict[str, Any] = {"NPU_compute_time": statistic(compute, not old)}
    for name, key in (("H2D_latency", "h2d_ms"), ("D2H_latency", "d2h_ms")):
        summary[name] = statistic([value for batch in batches for value in batch[key]], not old)
    summary["throughput"] = 1000 * factor / summary["NPU_compute_time"]["mean"]
    if not old:
        summary.update(npu_compute_time_list=compute, pid=os.getpid())
    return summary


def summary_lines(summary: Dict[str, Any], batch: int, old: bool, everything: bool) -> List[str]:
    """The block that the tool prints at the end."""
    def line(name: str) -> str:
        values = [f"{label} = {value}" for label, value in summary[name].items() if label != "count"]
        return f"{name} (ms): {', '.join(values)}"
    shown = ["NPU_compute_time"] if not (old or everything) else ["H2D_latency", "NPU_compute_time", "D2H_latency"]
    formula = "(1000*batchsize/NPU_compute_time)" if old else \
        f"1000*batchsize.mean({batch})/NPU_compute_time.mean({summary['NPU_compute_time']['mean']})"
    return ["-----------------Performance Summary------------------", *[line(name) for name in shown],
            f"throughput {formula}: {summary['throughput']}",
            "------------------------------------------------------"]


def write_summary(work: offline.Run, summary: Dict[str, Any], folder: str, old: bool,
                  argv: Optional[Sequence[str]]) -> None:
    """The tool's JSON, on one line, and then the record, which marks completion."""
    pure = [PURE] * len(work.session.inputs)
    listed = {str(number): {"infiles": list(sample.inputs) or pure, "outfiles": list(sample.outputs)}
              for number, sample in enumerate(work.samples)}
    path = os.path.join(folder, "sumary.json") if old else f"{folder.rstrip('/')}_summary.json"
    args = sys.argv if argv is None else ["ais_infer.py", *argv]
    files.write_text(path, json.dumps({"filesinfo": listed, "args": args, **summary}))
    work.finish("ais_infer", argv, path)


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = offline.parser("ais_infer", "Run an ONNX model as Ascend's ais_infer (ais_bench) runs an .om: the same "
                            "flags, files and printed lines.")
    parser.add_argument("--model", "--om", "-m", required=True, metavar="ONNX",
                        help="the .onnx file (the real tool: an .om)")
    parser.add_argument("--input", "-i", metavar="PATHS", help="folders, or .bin and .npy files, separated by commas "
                        "(none: one run on --pure_data_type)")
    parser.add_argument("--output", "-o", metavar="DIR",
                        help="where a result folder is made (none: nothing is written)")
    parser.add_argument("--output_dirname", metavar="NAME", help="name of the result folder (date and time)")
    parser.add_argument("--outfmt", choices=("NPY", "BIN", "TXT"), default="BIN")
    parser.add_argument("--loop", "-l", "-r", type=offline.whole(1), default=1, metavar="N", help="runs per batch (1)")
    parser.add_argument("--batchsize", type=offline.whole(1), metavar="N",
                        help="what the rate is multiplied by, and the samples per run where the model leaves that free "
                        "(the model's batch, 1 where that is free)")
    parser.add_argument("--dymBatch", type=offline.whole(1, 2048), metavar="N", help="as --batchsize")
    parser.add_argument("--device", "--device_id", "-d", type=device, default=0, metavar="N",
                        help="which device (0)")
    parser.add_argument("--debug", type=offline.boolean, nargs="?", const=True, default=False,
                        help="changes nothing here")
    parser.add_argument("--warmup_count", type=offline.whole(0), metavar="N",
                        help="runs before the measured ones (1; 5 with --layout old)")
    parser.add_argument("--pure_data_type", choices=("zero", "random"), default="zero")
    parser.add_argument("--display_all_summary", type=offline.boolean, nargs="?", const=True, default=False,
                        help="print the copies' times too")
    parser.add_argument("--output_batchsize_axis", type=offline.whole(0, 32), default=0, metavar="N",
                        help="dimension of the outputs that counts samples (0)")
    parser.add_argument("--auto_set_dymshape_mode", type=offline.boolean, nargs="?", const=True, default=False,
                        help="each sample at the height and width of its .npy file, which the model leaves free")
    parser.add_argument("--outputSize", metavar="BYTES", help="changes nothing here")
    parser.add_argument("--run_mode", choices=("array", "files", "tensor", "full"), help="changes nothing here")
    parser.add_argument("--threads", type=offline.whole(1, 1), metavar="1", help="changes nothing here")
    parser.add_argument("--infer_queue_count", type=offline.whole(1), metavar="N", help="changes nothing here")
    parser.add_argument("--layout", choices=("new", "old"), default="new",
                        help="not of the real tool: the files of 2022-11 and later, or of 2022-07 (new)")
    offline.add_npu_only(parser, NPU_ONLY)
    args = parser.parse_args(argv)
    early = [flag for flag in SINCE_2022_09 if getattr(args, flag[2:])] if args.layout == "old" else []
    if early:
        parser.error(f"{early[0]}: the generation of --layout old does not have it")
    if args.output_dirname and not args.output:
        parser.error("--output_dirname needs --output")
    if args.output_dirname:
        names.check(args.output_dirname, "--output_dirname")
    offline.refuse_npu_only(args, NPU_ONLY)
    def feeds(plain: engine.Engine) -> Iterator[List[Any]]:
        listed = list_inputs(args.input, len(plain.inputs), settings.limit())
        return offline.first_inputs(plain, lay_out(plain, model_batch(plain, args), listed), listed)
    session = sessions.open_session(args.model, index=args.device, feeds=feeds if args.input else None)
    offline.announce("ais_infer", session)
    run(args, session, argv)


if __name__ == "__main__":
    errors.run(main)
