"""ONNX Runtime, or OpenVINO, in place of Ascend's `msame`: the same command line, files and printed lines.

A file holds a whole batch, as for msame. Unlike msame, a wrong argument ends with exit status 2 and a failure with 1.
"""
from __future__ import annotations

import argparse
import os
import statistics
from datetime import datetime
from pathlib import Path
from typing import Any, Iterator, List, Optional, Sequence

from common.base import errors, files, settings
from common.base.errors import UserError
from common.engines import engine, sessions
from common.infer import offline
from common.infer.offline import Sample, six_digits

NPU_ONLY = ("--dump", "--profiler", "--dymHW", "--dymDims", "--dymShape", "--outputSize")


def stamp(when: datetime) -> str:
    """The name of a result folder: `202388_18_34_56_79658` is 8 August 2023, 18:34:56.079658; nothing is padded."""
    return (f"{when.year}{when.month}{when.day}_{when.hour}_{when.minute}_{when.second}_{when.microsecond}")


def save_text(path: str, array: Any) -> None:
    """One output as text, six significant digits, a blank after each value; a line per row of the last dimension.

    A one-dimensional output has no line end. int8 and uint8 are written as raw characters, bool as 0 and 1.
    """
    import numpy as np
    rows = array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array.reshape(1, -1)
    end = b"\n" if array.ndim > 1 else b""
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        for row in rows:
            if row.dtype in (np.int8, np.uint8):
                file.write(b"".join(bytes((value, 0x20)) for value in row.view(np.uint8).tolist()) + end)
            else:
                form = "%g " if row.dtype.kind == "f" else "%d "
                file.write("".join([form % value for value in row.tolist()]).encode("ascii") + end)


def list_samples(text: Optional[str], model: str, session: engine.Engine) -> List[Sample]:
    """The inferences that `--input` stands for, their outputs named without folder and suffix.

    None: one, on zeros. A comma list of `.bin` files, one per model input: one. A list of folders, one per model
    input: one per file name of the first, in byte order. The first two are named after the model.
    """
    stem = Path(model).stem
    names = [part.strip() for part in text.split(",")] if text else []
    if names and len(names) != len(session.inputs):
        raise UserError(f"--input: names {len(names)} files or folders, the model has {len(session.inputs)} inputs")
    if not names or ".bin" in names[0]:
        for name in names:
            files.existing_file(name, "an input .bin (a path with `.bin` in it is taken for a file)")
        return [Sample(stem, tuple(names), (stem,))]
    for name in names:
        if os.path.isfile(name):
            raise UserError(f"{name}: input parameter must be folder or file ending in '.bin'")
        files.existing_folder(name, "input files")
    bare = next((entry for entry in entries(names[0]) if not os.path.splitext(entry)[1]), None)
    if bare is not None:
        raise UserError(f"{names[0]}/{bare}: has no extension, and msame aborts over such a name; call it {bare}.bin")
    return [Sample(entry, tuple(f"{name.rstrip('/') or '/'}/{entry}" for name in names),
                   (os.path.splitext(entry)[0],)) for entry in entries(names[0])[:settings.limit()]]


def entries(folder: str) -> List[str]:
    """What an input folder holds, in msame's order, which is that of the bytes. Raises `UserError` for none."""
    found = sorted((name for name in os.listdir(folder) if not name.startswith(".")), key=os.fsencode)
    if not found:
        raise UserError(f"{folder}: is empty, expected input files; run the preprocess script first")
    return found


def whole_batch(session: engine.Engine, asked: Optional[int], samples: Sequence[Sample]) -> int:
    """Samples per run: the model's own batch; where it is free, what is asked for, else what the first file holds."""
    shape = session.inputs[0].shape
    if asked or not shape or shape[0] is not None:
        return asked or (shape[0] if shape and shape[0] else 1)
    one = offline.input_bytes(session, 1)
    if not samples[0].inputs:
        return 1
    path = files.existing_file(samples[0].inputs[0], "an input file")
    if path.stat().st_size % one or not path.stat().st_size:
        raise UserError(f"{path}: has {path.stat().st_size} bytes, expected a multiple of {one}, one sample's")
    return path.stat().st_size // one


def run(args: argparse.Namespace, session: engine.Engine, argv: Optional[Sequence[str]]) -> None:
    """Run all, printing what msame prints, and leave `<output>/<stamp>/<stem>_output_<i>` (i from 0)."""
    samples = list_samples(args.input, args.model, session)
    folders = bool(args.input) and ".bin" not in args.input.split(",")[0]
    batch = whole_batch(session, args.dymBatch, samples)
    suffix = "txt" if args.outfmt == "TXT" else "bin"
    recipe = offline.recipe("msame", session, batch, output=suffix, loop=args.loop)
    parent = Path(args.output).absolute().parent
    if not parent.is_dir():
        raise UserError(f"{args.output}: {parent} does not exist and msame makes one level only; mkdir -p it first")
    print("[INFO] acl init success\n"
          f"[INFO] open device {args.device} success\n"
          "[INFO] create context success\n[INFO] create stream success\n[INFO] get run mode success\n"
          f"[INFO] load model {args.model} success\n"
          "[INFO] create model description success\n[INFO] get input dynamic gear count success\n"
          "[INFO] create model output success")
    name = offline.result_folder(args.output, stamp(datetime.now()), recipe)
    folder = f"{args.output}/{name}"
    samples = [sample._replace(outputs=tuple(f"{folder}/{sample.outputs[0]}_output_{index}.{suffix}"
                                             for index in range(len(session.outputs)))) for sample in samples]
    layout = offline.plan(session, batch, 1)
    work = offline.Run(session, layout, samples, save_text if suffix == "txt" else offline.save_binary,
                       offline.beside(folder), recipe, growth=4.0 if suffix == "txt" else 1.0)
    print(folder)
    for group in work.todo:
        for path in group[0].inputs:
            print(f"[INFO] start to process file:{path}")
        arrays = work.read(group)
        for _ in range(1 if folders else args.loop):
            outputs = work.infer(arrays)
            print(f"[INFO] model execute success\nInference time: {six_digits(work.compute_ms)}ms", flush=True)
        work.write(group, outputs)
        print("[INFO] get max dynamic batch size success\n[INFO] output data success")
        if folders:
            print("[INFO] destroy model input success", flush=True)
    times = work.compute_list()
    form = "Inference average time{} : {:.2f} ms" if folders else "Inference average time{}: {:.6f} ms"
    print(form.format("", statistics.mean(times)))
    if len(times) > 1:
        print(form.replace(" :", ":").format(" without first time", statistics.mean(work.compute_list(cold=False))))
    if not folders:
        print("[INFO] destroy model input success")
    work.finish("msame", argv)
    print("[INFO] unload model success, model Id is 1\n"
          f"[INFO] pid: {os.getpid()} Execute sample success\n"
          "[INFO] end to destroy stream\n[INFO] end to destroy context\n"
          f"[INFO] end to reset device is {args.device}\n[INFO] end to finalize acl")


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = offline.parser("msame", "Run an ONNX model as Ascend's msame runs an .om: the same flags, files and "
                            "printed lines. `python3 -m common.data.result_files newest OUTPUT` prints the result "
                             "folder made last.")
    parser.add_argument("--model", required=True, metavar="ONNX", help="the .onnx file (the real tool: an .om)")
    parser.add_argument("--output", required=True, metavar="DIR", help="a dated result folder is made in it")
    parser.add_argument("--input", metavar="PATHS", help=".bin files, or folders of them, one per model input, "
                        "separated by commas; each file is a whole batch (zeros)")
    parser.add_argument("--outfmt", default="BIN", help="TXT or BIN (BIN)")
    parser.add_argument("--loop", type=offline.whole(1, 100), default=1, metavar="N", help="runs of a single file (1)")
    parser.add_argument("--device", type=offline.whole(0, 255), default=0, metavar="N", help="which device (0)")
    parser.add_argument("--debug", metavar="BOOL", help="changes nothing here")
    parser.add_argument("--dymBatch", type=offline.whole(1, 2048), metavar="N",
                        help="the batch of a model that leaves it free (what the first file holds)")
    offline.add_npu_only(parser, NPU_ONLY)
    args = parser.parse_args(argv)
    offline.refuse_npu_only(args, NPU_ONLY)
    def feeds(plain: engine.Engine) -> Iterator[List[Any]]:
        samples = list_samples(args.input, args.model, plain)
        layout = offline.plan(plain, whole_batch(plain, args.dymBatch, samples), 1)
        return offline.first_inputs(plain, layout, [sample.inputs for sample in samples])
    session = sessions.open_session(args.model, index=args.device, feeds=feeds if args.input else None)
    offline.announce("msame", session)
    run(args, session, argv)


if __name__ == "__main__":
    errors.run(main)
