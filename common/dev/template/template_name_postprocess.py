#!/usr/bin/env python3
"""Hold the network's outputs against the true classes: top-1 in per cent."""
from __future__ import annotations

import argparse
import re
from typing import Dict, Optional, Sequence

import numpy as np

from common.base import errors, facts, files
from common.base.errors import UserError
from common.data import dataset, evaluation, result_files
from common.judge import verdicts


def read_labels(path: str) -> Dict[str, int]:
    """The class of each picture, from lines `<stem> <class>`. Raises `UserError` for any other line."""
    found = {}
    text = files.existing_file(path, "lines `<stem> <class>`").read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        match = re.fullmatch(r"(.+) (\d{1,6})", line)
        if not match:
            raise UserError(f"{path}:{number}: expected `<stem> <class>`, found {line[:60]!r}")
        found[match[1]] = int(match[2])
    return found


def plan(argv: Optional[Sequence[str]] = None, samples: Optional[Sequence[str]] = None) -> evaluation.Evaluation:
    """What the command line asks for. samples: ids whose outputs are handed over, in place of the files in RESULT."""
    model = facts.load(__file__)
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__))
    parser.add_argument("results", metavar="RESULT", help="folder with the result .bin files")
    parser.add_argument("labels", metavar="LABELS", help="file of lines `<stem> <class>`")
    parser.add_argument("--prep", help="what the preprocess script wrote: results must be of its samples")
    parser.add_argument("--accuracy", metavar="JSON", help="file for the report's accuracy section")
    args = parser.parse_args(argv)
    labels = read_labels(args.labels)
    found = result_files.find(args.results) if samples is None else {}
    wanted = evaluation.expected(args.prep, lambda: sorted(found)) if samples is None else samples
    taken = evaluation.taken(wanted, found if samples is None else None, args.results)
    missing = [name for name in taken if name not in labels]
    if missing:
        raise UserError(f"{args.labels}: no class for {missing[0]}")
    shape = model.outputs[0].sized(N=1)

    def one(sample: str, name: str, output: np.ndarray) -> evaluation.Row:
        return {"sample": sample, "right": int(output.argmax() == labels[sample])}

    def finish(rows: Sequence[evaluation.Row]) -> None:
        value = 100 * float(np.mean([row["right"] for row in rows]))
        if args.accuracy:
            verdicts.write_accuracy(args.accuracy, model, value, {row["sample"]: 100.0 * row["right"] for row in rows})
        print(f"top-1 over {len(rows)} pictures: {value:.3f} %")

    return evaluation.Evaluation(taken, lambda sample: min(found[sample].items())[1],
                                 lambda path: dataset.read_result(path, shape), one, finish, shape=shape)


def main(argv: Optional[Sequence[str]] = None) -> None:
    evaluation.run(plan(argv))


if __name__ == "__main__":
    errors.run(main)
