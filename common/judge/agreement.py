"""How well two backends agree on the same samples: `python3 -m common.judge.agreement FOUND EXPECTED --output JSON`.

FOUND and EXPECTED are folders of result `.bin` files of the same names (float32). Thresholds are msit's:
cosine at least 0.99, relative Euclidean distance at most 0.05. They leave room for half precision and not for another
operator: docs/PRECISION.md has what networks reach in half precision, and what a wrongly rounding Resize does.
"""
from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from common.base import errors, files
from common.base.errors import UserError
from common.data import dataset, result_files
from common.engines.tolerance import COSINE, RELATIVE_EUCLIDEAN, agree
from common.judge.reports import WORST


def compare_folders(found: files.PathLike, expected: files.PathLike) -> Dict[str, Any]:
    """Compare every output of every sample, one at a time.

    Gives `{"samples", "outputs", "cosine", "max_abs", "relative_euclidean" (each the worst), "mean_max_abs",
    "verdict", "worst": five samples}`. Raises `UserError` when the folders do not hold the same files, when a
    pair differs in length, and on NaN.
    """
    from common.base.metrics import difference
    ours, theirs = result_files.find(found), result_files.find(expected)
    result_files.check_pairs(theirs, ours, found)
    rows: List[Dict[str, Any]] = []
    for stem in sorted(theirs):
        # tools count outputs from 0 or from 1: pair them by order
        pairs = list(zip(sorted(ours[stem].items()), sorted(theirs[stem].items())))
        if len(ours[stem]) != len(theirs[stem]):
            raise UserError(f"{found}: {stem} has {len(ours[stem])} outputs, expected {len(theirs[stem])}")
        for (_, path), (_, other) in pairs:
            length = other.stat().st_size // 4
            if not length:
                raise UserError(f"{other}: is empty; expected the values of an output; run the inference again")
            rows.append({"file": path.name,
                         **difference(dataset.read_result(path, [length]), dataset.read_bin(other, [length]))})
    return summarise(rows, samples=len(theirs))


def summarise(rows: Sequence[Mapping[str, Any]], samples: int) -> Dict[str, Any]:
    """The result of `compare_folders` from one row per compared output: `{"file", **metrics.difference(...)}`."""
    rows = sorted(rows, key=lambda row: (row["cosine"], -row["max_abs"]))
    worst = {"cosine": min(row["cosine"] for row in rows),
             "max_abs": max(row["max_abs"] for row in rows),
             "relative_euclidean": max(row["relative_euclidean"] for row in rows)}
    return {"samples": samples, "outputs": len(rows), **worst,
            "mean_max_abs": sum(row["max_abs"] for row in rows) / len(rows),
            "verdict": agree(worst), "worst": rows[:WORST]}


def digest(folder: files.PathLike) -> str:
    """SHA-256 over the names and contents of a result folder: it ties a comparison to what was compared with."""
    whole = hashlib.sha256()
    for stem, outputs in sorted(result_files.find(folder).items()):
        for number, path in sorted(outputs.items()):
            whole.update(f"{stem} {number} {files.sha256(path)}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def figures(result: Mapping[str, Any]) -> str:
    """The worst figures with their thresholds, and the verdict, for the terminal."""
    return (f"cosine {result['cosine']:.9f} (at least {COSINE}), relative Euclidean {result['relative_euclidean']:.2e} "
            f"(at most {RELATIVE_EUCLIDEAN}), largest difference {result['max_abs']:.3g}: {result['verdict']}")


def run(argv: Optional[Sequence[str]], description: str,
        measure: Callable[[argparse.Namespace], Tuple[Dict[str, Any], List[str]]],
        options: Callable[[argparse.ArgumentParser], Any] = lambda parser: None, prog: Optional[str] = None) -> int:
    """The command line of every program that compares two result folders; gives its exit status, 1 for a missed threshold.

    measure: the figures for the parsed arguments (`found`, `expected`, and what `options` adds to the parser), and the
    lines to print before the verdict.
    """
    parser = argparse.ArgumentParser(prog=prog, description=description, epilog="Exit status 1 when a threshold of "
                                     "common.judge.agreement is missed; other figures have none.")
    parser.add_argument("found", metavar="FOUND", help="folder with the result files of the backend in question")
    parser.add_argument("expected", metavar="EXPECTED", help="folder with PyTorch's result files")
    parser.add_argument("--output", metavar="JSON", help="file for the figures")
    parser.add_argument("--npu", action="store_true", help="FOUND is of a chip: the very bytes of PyTorch are refused")
    options(parser)
    args = parser.parse_args(argv)
    refuse_same(args.found, args.expected, args.npu)
    result, lines = measure(args)
    result["expected_sha256"] = digest(args.expected)
    if args.output:
        files.write_json(Path(args.output), result)
    for line in lines:
        print(line)
    print(f"agreement over {result['samples']} samples: {figures(result)}")
    return 0 if result["verdict"] == "pass" else 1


def refuse_same(found: files.PathLike, expected: files.PathLike, npu: bool) -> None:
    """Raise `UserError` for a folder that is compared with itself, and for an NPU's results that are PyTorch's bytes."""
    if Path(found).resolve() == Path(expected).resolve():
        raise UserError(f"{found}: is the folder that it is compared with; give the other backend's results")
    if npu and digest(found) == digest(expected):
        raise UserError(f"{found}: holds the same bytes as {expected}, which no chip gives; they are PyTorch's own results, "
                        "copied")


def main(argv: Optional[Sequence[str]] = None) -> int:
    def measure(args: argparse.Namespace) -> Tuple[Dict[str, Any], List[str]]:
        result = compare_folders(args.found, args.expected)
        return result, [f"  {row['file']}: cosine {row['cosine']:.9f}, largest difference {row['max_abs']:.3g}"
                        for row in result["worst"]]
    return run(argv, errors.first_line(__doc__), measure, prog="python3 -m common.judge.agreement")


if __name__ == "__main__":
    errors.run(main)
