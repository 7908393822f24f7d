"""ONNX Runtime, or OpenVINO, in place of Ascend's `benchmark.x86_64`: the same flags and files in `./result`.

With `-input_text_path` it runs a dataset, with `-round` it measures pure inference on zeros.
"""
from __future__ import annotations

import argparse
import os
import re
import statistics
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from common.base import errors, files, names, settings
from common.base.errors import UserError
from common.engines import engine, sessions
from common.infer import offline
from common.infer.offline import Sample, six_digits

INFO_LINE = re.compile(r"(\d+) (.+\.bin)(?: (\d+) (\d+))?")
PICTURE_LINE = re.compile(r"\d+ .+\.(?:jpe?g|png)(?: \d+ \d+)?", re.IGNORECASE)


def read_info(path: files.PathLike, inputs: int, count: Optional[int] = None) -> List[Tuple[str, ...]]:
    """The files of each sample of a `.info` list: lines `index path width height`, or `index path`.

    A model of several inputs has as many lines in a row with the same index. Width and height: see `read_sizes`.
    inputs: the number of the model's inputs. count: only the first so many samples.
    Raises `UserError`, with file and line number, for a malformed line and for a file that is missing.
    """
    text = files.existing_file(path, "the .info list of get_info or gen_dataset_info").read_bytes()
    rows = []
    for number, line in enumerate(text.decode("utf-8", errors="replace").splitlines(), 1):
        match = INFO_LINE.fullmatch(line)
        if not match and PICTURE_LINE.fullmatch(line):
            raise UserError(f"{path}:{number}: lists a picture; decoding it is -useDvpp=True, which needs an NPU; "
                            "list the .bin files of the preprocess script")
        if not match:
            raise UserError(f"{path}:{number}: expected `index path.bin width height`, found `{line}`")
        names.check(os.path.basename(match[2]), f"{path}:{number}")
        rows.append((number, match[1], match[2]))
    samples = []
    for start in range(0, len(rows), inputs):
        group = rows[start:start + inputs]
        alike = {index for _, index, _ in group}
        if len(group) < inputs or len(alike) > 1:
            raise UserError(f"{path}:{group[0][0]}: the model has {inputs} inputs, expected {inputs} lines with index "
                            f"{group[0][1]}")
        if inputs == 1 and start and rows[start - 1][1] == group[0][1] != "0":
            raise UserError(f"{path}:{group[0][0]}: index {group[0][1]} stands on more than one line, the model has "
                            "one input")
        samples.append(group)
    if not samples:
        raise UserError(f"{path}: lists no sample; run the preprocess script first")
    for number, _, name in [row for group in samples[:count] for row in group]:
        if not os.path.isfile(name):
            raise UserError(f"{path}:{number}: {name} does not exist (from {os.getcwd()}); run this where the paths "
                            "hold, or write the list anew")
    return [tuple(name for _, _, name in group) for group in samples[:count]]


def read_sizes(path: files.PathLike, count: Optional[int] = None) -> List[Tuple[int, int]]:
    """Height and width of each sample of such a list, for a model that leaves them free and has one input.

    Raises `UserError`, with file and line number, for a line that does not tell them.
    """
    sizes = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8", errors="replace").splitlines()[:count], 1):
        match = INFO_LINE.fullmatch(line)
        if not match or not int(match[3] or 0) or not int(match[4]):
            raise UserError(f"{path}:{number}: does not tell the sample's width and height, which the model leaves free; "
                            "expected `index path.bin width height`")
        sizes.append((int(match[4]), int(match[3])))
    return sizes


def save_text(path: str, array: Any) -> None:
    """One output as text: all its values on one line, six significant digits, separated by blanks."""
    import numpy as np
    with files.atomic(path) as temporary:
        np.savetxt(temporary, array.reshape(1, -1), fmt="%g" if array.dtype.kind == "f" else "%d")


def run_dataset(args: argparse.Namespace, session: engine.Engine, argv: Optional[Sequence[str]]) -> None:
    """Dataset mode: `result/dumpOutput_device<id>/<stem>_<k>` (k from 1) per sample and output, and perf_vision.

    A model that leaves height and width free runs each sample at those that the list tells.
    """
    folder = f"result/dumpOutput_device{args.device_id}"
    suffix = "bin" if args.output_binary else "txt"
    outputs = range(1, len(session.outputs) + 1)
    listed = read_info(args.input_text_path, len(session.inputs), settings.limit())
    layout, sizes = offline.of_sizes(session, args.batch_size, args.batch_size,
                                     lambda: read_sizes(args.input_text_path, settings.limit()), len(listed))
    samples = [Sample(inputs[0], inputs, tuple(f"{folder}/{Path(inputs[0]).stem}_{k}.{suffix}" for k in outputs), size)
               for inputs, size in zip(listed, sizes)]
    record = f"result/onnxruntime_batchsize_{args.batch_size}_device_{args.device_id}.json"
    run = offline.Run(session, layout, samples, offline.save_binary if args.output_binary else save_text, record,
                      offline.recipe("benchmark", session, args.batch_size, output=suffix),
                      growth=1.0 if args.output_binary else 4.0)
    run.warm_up(1)
    for group in run.progress("benchmark"):
        run.write(group, run.infer(run.read(group)))
    perf_file = f"result/perf_{args.model_type}_batchsize_{args.batch_size}_device_{args.device_id}.txt"
    lines = perf_lines(run, args.batch_size)
    files.write_text(perf_file, lines)
    run.finish("benchmark", argv, perf_file)
    print(f"[INFO] {len(samples)} samples in {folder}, performance in {perf_file}")
    print(lines, end="")


def perf_lines(run: offline.Run, batch: int) -> str:
    """The five lines of perf_vision, times in ms and rates per second.

    e2e: the whole dataset; data read, preprocess: per sample; infer: per sample, with the copies to and from the
    device (throughputRate is the mean of the batches' rates), and as `Interface throughputRate` device compute alone,
    batch over mean time; post: per batch.
    """
    batches = run.batches()
    count = len(run.samples)
    total = sum(run.per_sample("total_ms"))
    read, prepare, infer = (statistics.mean(run.per_sample(key)) for key in ("read_ms", "prepare_ms", "infer_ms"))
    post = statistics.mean(entry["write_ms"] for entry in batches)
    rate = statistics.mean(1000 * entry["files"] / entry["infer_ms"] for entry in batches)
    interface = 1000 * batch / statistics.mean(run.compute_list())
    stages: List[Tuple[str, Dict[str, float]]] = [
        ("e2e", {"throughputRate": 1000 * count / total, "latency": total}),
        ("data read", {"throughputRate": 1000 / read, "moduleLatency": read}),
        ("preprocess", {"throughputRate": 1000 / prepare, "moduleLatency": prepare}),
        ("infer", {"throughputRate": rate, "Interface throughputRate": interface, "moduleLatency": infer}),
        ("post", {"throughputRate": 1000 / post, "moduleLatency": post})]
    return "".join(f"[{tag}] " + ", ".join(f"{name}: {six_digits(value)}" for name, value in figures.items()) + "\n"
                   for tag, figures in stages)


def run_pure(args: argparse.Namespace, session: engine.Engine, argv: Optional[Sequence[str]]) -> None:
    """Pure inference: `-round` runs on zeros after one warm-up; a line each, and the PureInfer file."""
    base = Path(args.om_path).stem
    run = offline.Run(session, offline.plan(session, args.batch_size, 1), [Sample("zeros", (), ())],
                      offline.save_binary, f"result/onnxruntime_pure_{base}_device_{args.device_id}.json",
                      offline.recipe("benchmark-pure", session, args.batch_size, round=args.round))
    run.warm_up(1)
    for group in run.todo:
        arrays = run.read(group)
        for index in range(args.round):
            outputs = run.infer(arrays)
            print(f"[INFO] Dataset number: {index} finished cost {six_digits(run.compute_ms)}ms", flush=True)
        run.write(group, outputs)
    costs = run.compute_list()
    rate = six_digits(statistics.mean(1000 * args.batch_size / cost for cost in costs))
    latency = six_digits(statistics.mean(costs) / args.batch_size)
    perf_file = f"result/PureInfer_perf_of_{base}_in_device_{args.device_id}.txt"
    files.write_text(perf_file, f"ave_throughputRate = {rate}samples/s, ave_latency = {latency}ms\n")
    run.finish("benchmark-pure", argv, perf_file)
    print(f"[INFO] PureInfer result saved in ./{perf_file}\n"
          "-----------------PureInfer Performance Summary------------------\n"
          f"[INFO] ave_throughputRate: {rate}samples/s, ave_latency: {latency}ms\n"
          "----------------------------------------------------------------")


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = offline.parser("benchmark", "Run an ONNX model as Ascend's benchmark tool runs an .om: the same flags, "
                            "files named and laid out alike in ./result.")
    parser.add_argument("-om_path", required=True, metavar="ONNX", help="the .onnx file (the real tool: an .om)")
    parser.add_argument("-batch_size", type=offline.whole(1), default=1, metavar="N", help="samples per run (1)")
    parser.add_argument("-device_id", type=offline.whole(0, 255), default=0, metavar="N",
                        help="which device; is part of names (0)")
    parser.add_argument("-input_text_path", metavar="INFO", help="the dataset: lines `index path.bin width height`")
    parser.add_argument("-round", type=offline.whole(1), metavar="N", help="pure inference: this many runs on zeros")
    parser.add_argument("-model_type", choices=("vision", "nlp", "bert"), default="vision")
    parser.add_argument("-input_width", type=settings.positive, metavar="W", help="not used for .bin files: a model that leaves "
                        "width and height free takes those of the list")
    parser.add_argument("-input_height", type=settings.positive, metavar="H", help="as -input_width")
    parser.add_argument("-output_binary", type=offline.boolean, default=False, metavar="BOOL",
                        help="True: .bin files; False: .txt (False)")
    parser.add_argument("-useDvpp", type=offline.boolean, default=False, metavar="BOOL", help="True needs an NPU")
    args = parser.parse_args(argv)
    if (args.input_text_path is None) == (args.round is None):
        parser.error("give either -input_text_path (a dataset) or -round (pure inference)")
    if args.useDvpp:
        raise UserError("-useDvpp=True decodes pictures on an NPU and does not fit .bin files; give -useDvpp=False")
    def feeds(plain: engine.Engine) -> Iterator[List[Any]]:
        listed = read_info(args.input_text_path, len(plain.inputs), settings.limit())
        return offline.first_inputs(plain, offline.plan(plain, args.batch_size, args.batch_size), listed)
    session = sessions.open_session(args.om_path, index=args.device_id, feeds=None if args.round else feeds)
    offline.announce("benchmark", session)
    (run_dataset if args.round is None else run_pure)(args, session, argv)


if __name__ == "__main__":
    errors.run(main)
