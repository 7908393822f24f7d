"""The operators that must stay in float32: `python3 -m common.precision.keep [-- METRIC...]` in a model's build folder.

Half precision is rehearsed with ever other operators kept in float32 until the outputs agree with PyTorch's, and the metric
holds within its tolerance; by bisection, those first where the error grows most. No operator of the list that is found can
be left out alone. It is written as atc's `--keep_dtype` takes it, and as a `--modify_mixlist`. No figure is an NPU's.
"""
from __future__ import annotations

import argparse
import math
import subprocess
from pathlib import Path
from typing import Any, Callable, Dict, FrozenSet, List, Mapping, Optional, Sequence

from common.base import errors, facts, files, model_file, names
from common.base.errors import UserError
from common.data import dataset
from common.engines import half, keep_list, onnxruntime_session, tolerance
from common.judge import agreement, reports
from common.precision import layers
from common.precision.tensors import samples

Judge = Callable[[FrozenSet[str]], bool]


def smallest(ranked: Sequence[str], passes: Judge) -> List[str]:
    """Of the operators, the likeliest first, a list with which `passes` holds and of which none can be left out.

    Each is found by bisection: the shortest beginning of the rest that passes ends in one that is needed. So k of n cost
    about k log2 n trials. It takes for granted that keeping more operators does no harm. All of them must pass.
    """
    need: List[str] = []
    rest = list(ranked)
    while not passes(frozenset(need)):
        low, high = 0, len(rest)  # the first `high` pass, the first `low` do not
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if passes(frozenset([*need, *rest[:middle]])) else (middle, high)
        if not high:
            raise UserError("the search for operators to keep ended without a list that passes; keeping more did harm")
        need.append(rest[high - 1])
        rest = rest[:high - 1]
    return need


class Trials:
    """Rehearsals of a network with some operators kept, each judged. metric: the command that leaves accuracy.json in
    `folder` from `folder`/result; none where agreement alone judges. limit: of the relative Euclidean distance.
    """

    def __init__(self, path: files.PathLike, prep: files.PathLike, expected: files.PathLike, folder: Path, model: facts.Facts,
                 metric: Sequence[str], limit: float):
        self.path, self.folder, self.model, self.metric, self.limit = path, folder, model, metric, limit
        self.expected = Path(expected)
        self.records = samples(prep)
        self.steps = {step.name: step for step in self._steps()}
        self.carry = True
        self.judged: Dict[FrozenSet[str], bool] = {}
        self.found: Dict[str, Any] = {}

    def _steps(self) -> List[half.Step]:
        loaded = half.read(self.path)
        self.unnamed = set(half.name_nodes(loaded.graph))
        self.network = loaded.graph
        return half.rehearsed(loaded, half.mode()).steps

    def nodes(self, kept: FrozenSet[str]) -> List[str]:
        """The nodes of these operators, in the network's order, and while `carry` holds those behind them that only move
        values."""
        inside = {node for step in self.steps.values() for node in step.nodes}
        chosen = {node for name in kept for node in self.steps[name].nodes}
        constant = {tensor.name for tensor in self.network.initializer}
        producer = {name: node.name for node in self.network.node for name in node.output}
        for node in self.network.node:
            before = [producer.get(name, "") for name in node.input if name and name not in constant]
            if self.carry and node.name not in inside and before and all(name in chosen for name in before):
                chosen.add(node.name)
        return [node.name for node in self.network.node if node.name in chosen]

    def passes(self, kept: FrozenSet[str]) -> bool:
        """Whether the outputs agree and the metric holds; figures in `found`. The worst samples of the first trial, in which
        every sample is looked at, come first in the others, which end with the first sample that fails."""
        if kept in self.judged:
            return self.judged[kept]
        import numpy as np

        from common.base.metrics import difference
        first = not self.judged
        session = onnxruntime_session.Session(self.path, "cpu", precision="f16", keep=self.nodes(kept))
        rows: List[Dict[str, Any]] = []
        bad = False
        for record in self.records:
            outputs = session.run([dataset.read_sample(record)])
            for number, output in enumerate(outputs, 1):
                expected = dataset.read_bin(self.expected / "result" / f"{names.stem(record['id'])}_{number}.bin", output.shape)
                with np.errstate(all="ignore"):
                    figures = {key: value if math.isfinite(value) else math.inf if key != "cosine" else -1.0
                               for key, value in difference(output, expected).items()}
                rows.append({"file": record["id"], **figures})
                bad |= tolerance.agree(figures) == "fail" or not figures["relative_euclidean"] <= self.limit
                if np.isfinite(output).all():
                    dataset.write_bin(self.folder / "result" / f"{names.stem(record['id'])}_{number}.bin", output)
            if bad and not first:
                break
        if first:
            worst = {row["file"]: -row["relative_euclidean"] for row in rows}
            self.records.sort(key=lambda record: worst[record["id"]])
        self.found = {**agreement.summarise(rows, len(self.records)), "kept": len(kept), "metric": None}
        self.judged[kept] = not bad and self._metric_holds()
        metric = "" if self.found["metric"] is None else f", {self.model.metric.name} {self.found['metric']:.4f}"
        print(f"  {len(kept)} of {len(self.steps)} operators in float32: {'holds' if self.judged[kept] else 'fails'} (relative "
              f"Euclidean {self.found['relative_euclidean']:.3g}{metric})", flush=True)
        return self.judged[kept]

    def _metric_holds(self) -> bool:
        if not self.metric:
            return True
        done = subprocess.run(list(self.metric), capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"{' '.join(self.metric)}: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
        own = reports.accuracy(self.folder / "accuracy.json", self.model)["value"]
        reference = reports.accuracy(self.expected / "accuracy.json", self.model)["value"]
        self.found.update(metric=own, reference=reference)
        return reports.verdict(own, reference, self.model.metric.tolerance) == "pass"


def search(trials: Trials) -> Dict[str, Any]:
    """The list, and the figures without it and with it. Raises `UserError` where not even all operators help."""
    if trials.passes(frozenset()):
        return {"half": trials.found, "mended": trials.found, "keep": []}
    before = trials.found
    everything = frozenset(trials.steps)
    if not trials.passes(everything):
        raise UserError(f"{trials.path}: fails with every operator in float32 too; what is rounded of the input or the network "
                        "itself is the cause, no list mends that")
    _, rows = layers.table(trials.path, "cpu", "cpu-f16", trials.records[:1])
    growth = {row["operator"]: math.inf if row["growth"] is None or row["overflowed_percent"] else row["growth"]
              for row in rows if row["kinds"] != "weight"}
    ranked = sorted(trials.steps, key=lambda name: -growth.get(name, 0.0))
    need = smallest(ranked, trials.passes)
    for carry in (False, True):  # once more for its figures, and without what only carries values where that does as well
        trials.carry = carry
        trials.judged.clear()
        if trials.passes(frozenset(need)):
            break
    return {"half": before, "mended": trials.found, "keep": [name for name in trials.steps if name in need]}


def write(found: Mapping[str, Any], trials: Trials, build: Path) -> List[str]:
    """The two files atc takes, in the build folder; none, and none of before, where nothing has to stay. Gives what to say."""
    for name in (keep_list.FILE, keep_list.MIXLIST):
        (build / name).unlink(missing_ok=True)
    if not found["keep"]:
        return ["no operator has to stay in float32"]
    nodes = trials.nodes(frozenset(found["keep"]))
    kinds = {kind for name in found["keep"] for kind in trials.steps[name].kinds.split("+")}
    files.write_text(build / keep_list.FILE, keep_list.text(nodes))
    files.write_json(build / keep_list.MIXLIST, keep_list.mixlist(kinds))
    said = ["operators that stay in float32:", *(f"  {name} ({trials.steps[name].kinds})" for name in found["keep"]),
            f"{build / keep_list.FILE}: for --keep_dtype, with --precision_mode=force_fp16; make om gives it to atc, KEEP= to a "
            "rehearsal",
            f"{build / keep_list.MIXLIST}: for --modify_mixlist in mixed modes, which knows types alone: coarser"]
    if trials.unnamed & set(nodes):
        said.append("beware: the ONNX file names not all of these, and atc may name them otherwise")
    unknown = sorted(kinds - set(keep_list.TYPES))
    if unknown:
        said.append(f"not in {keep_list.MIXLIST}, since CANN's type is not known here: {', '.join(unknown)}")
    return said


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python3 -m common.precision.keep", description=errors.first_line(__doc__),
        epilog="LIMIT=N in the environment takes the first N samples, OVERFLOW and SUMS say what is rehearsed.")
    parser.add_argument("--onnx", required=True, help="the network")
    parser.add_argument("--prep", default="prep", help="folder of the preprocessed samples (default: %(default)s)")
    parser.add_argument("--expected", default="pytorch", help="folder with PyTorch's result/ and accuracy.json "
                        "(default: %(default)s)")
    parser.add_argument("--folder", default="keep", help="where the rehearsals' results go (default: %(default)s)")
    parser.add_argument("--model", default="..", help="the model's folder (default: %(default)s)")
    parser.add_argument("--limit", type=float, default=tolerance.RELATIVE_EUCLIDEAN, metavar="X",
                        help="largest relative Euclidean distance of an output (default: %(default)s)")
    parser.add_argument("--output", default="keep.json", help="default: %(default)s")
    parser.add_argument("metric", nargs="*", metavar="METRIC", help="behind --, the command that leaves accuracy.json in the "
                        "folder; not used for seeded weights")
    args = parser.parse_args(argv)
    model = facts.load(args.model)
    untrained = "untrained" in model_file.metadata(args.onnx)
    trials = Trials(args.onnx, args.prep, args.expected, Path(args.folder), model, [] if untrained else args.metric, args.limit)
    print(f"{model.title}: {half.mode()}, no NPU figure")
    found = search(trials)
    said = write(found, trials, Path("."))
    files.write_json(args.output, {"model": model.title, "onnx": args.onnx, "model_sha256": model_file.sha256(args.onnx),
                                   "by": str(half.mode()), **found})
    print("\n".join(said))
    print(f"half precision rehearsed: {agreement.figures(found['half'])}")
    if found["keep"]:
        print(f"with these in float32: {agreement.figures(found['mended'])}")
    return 0


if __name__ == "__main__":
    errors.run(main)
