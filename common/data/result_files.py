"""The result files of an inference, whichever tool left them: which sample each belongs to.

`python3 -m common.data.result_files newest DIR` prints the result folder that msame or ais_infer made last in DIR.
"""
from __future__ import annotations

import argparse
import os
import re
from pathlib import Path
from typing import Dict, Iterable, List, Optional, Sequence

from common.base import errors, files, names
from common.base.errors import UserError

OLD_SUMMARY = "sumary.json"
"""Spelled as ais_infer spelled it until 2022-09."""
RESULT_FOLDER = re.compile(r"\d{6,8}_\d{1,2}_\d{1,2}_\d{1,2}_\d{1,6}|\d{8}_\d{6}|\d{4}(_\d\d){2}-\d\d(_\d\d){2}")


def find(folder: files.PathLike) -> Dict[str, Dict[int, Path]]:
    """The result files of an inference by sample stem and output number as written: `{stem: {number: path}}`.

    Reads the names that the tools leave: `<stem>_<k>.bin` (benchmark counts from 1, ais_infer from 0) and
    `<stem>_output_<k>.bin` (msame, from 0). Where ais_infer's summary is there, it tells: its files are only numbered
    in 2022-07, and named up to the first dot later. Raises `UserError` when the folder is missing or holds none.
    """
    folder = files.existing_folder(folder, "result .bin files")
    place = folder.resolve()  # the summary lies beside the folder itself, not beside a link to it
    for summary in (place / OLD_SUMMARY, place.with_name(f"{place.name}_summary.json")):
        if summary.is_file():
            return from_summary(summary)
    found: Dict[str, Dict[int, Path]] = {}
    for name in sorted(os.listdir(folder)):
        named = re.fullmatch(r"([^.].*)_([0-9]{1,9})\.bin", name, re.DOTALL)
        if named:
            found.setdefault(named[1], {})[int(named[2])] = folder / name
    # one tool wrote them all: `foo_output_1.bin` beside `foo_1.bin`, or without a 0, is of a picture `foo_output`
    if found and all(stem.endswith("_output") and stem != "_output" and 0 in paths for stem, paths in found.items()):
        found = {stem[:-len("_output")]: paths for stem, paths in found.items()}
    if not found:
        raise UserError(f"{folder}: expected result files (<stem>_<number>.bin), found none; run the inference first")
    return {names.of_stem(stem): paths for stem, paths in found.items()}


def records(folder: files.PathLike) -> List[Path]:
    """The records that what stood in for a tool left of the inference whose results are in `folder`; none of a tool's."""
    place = Path(folder).resolve()
    device = re.fullmatch(r"dumpOutput_device(\d+)", place.name)  # benchmark's folder has one name for all batch sizes
    found = list(place.parent.glob(f"onnxruntime_batchsize_*_device_{device.group(1)}.json")) if device else []
    beside = place.with_name(f"{place.name}_onnxruntime.json")
    return sorted(found) + ([beside] if beside.is_file() else [])


def from_summary(path: files.PathLike) -> Dict[str, Dict[int, Path]]:
    """What `find` gives, from ais_infer's summary: `filesinfo` says which input gave which outputs (from 0).

    Outputs are looked for where the summary says, and, when the results were moved, in its own result folder: the one
    it lies in (`sumary.json`), or the one beside it that its name begins with (`<folder>_summary.json`).
    """
    path = Path(path)
    entries = files.read_json(path, "ais_summary").get("filesinfo")
    if entries is None:
        raise UserError(f"{path}: is no summary of ais_infer (filesinfo is missing)")
    if not entries:
        raise UserError(f"{path}: lists no result; run the inference again, with --output")
    folder = path.parent if path.name == OLD_SUMMARY else path.with_name(re.sub(r"_summary$", "", path.stem))
    found: Dict[str, Dict[int, Path]] = {}
    for number, entry in entries.items():
        infile, outfiles = Path(entry["infiles"][0]), [Path(name) for name in entry["outfiles"]]
        sample = names.check(names.of_stem(re.sub(r"\.(bin|npy)$", "", infile.name, flags=re.IGNORECASE)),
                             f"{path}: entry {number}")
        if sample in found:
            raise UserError(f"{path}: names two results for {sample}")
        found[sample] = {}
        for index, outfile in enumerate(outfiles):
            if outfile.suffix != ".bin":
                raise UserError(f"{path}: {outfile} is no .bin file; run the inference with --outfmt BIN")
            here = folder / outfile.name
            found[sample][index] = here if here.is_file() else outfile
            if not found[sample][index].is_file():
                raise UserError(f"{outfile}: no such file, though {path} names it as the result of {sample}; "
                                "run the inference again")
    return found


def check_pairs(expected: Iterable[str], found: Iterable[str], folder: files.PathLike) -> None:
    """Raise `UserError` unless the result folder holds exactly the expected sample stems."""
    expected, found = set(expected), set(found)
    for difference, text in ((sorted(expected - found), "no result for"), (sorted(found - expected), "unknown sample")):
        if difference:
            more = f" and {len(difference) - 1} more" if len(difference) > 1 else ""
            raise UserError(f"{os.fspath(folder)}: {text} {difference[0]}{more}; run the inference again in an empty "
                            "folder, on the same samples")


def newest(folder: files.PathLike) -> Path:
    """The result folder that msame or ais_infer made last in `folder`, by time of change: their names do not sort."""
    found = [(path.stat().st_mtime_ns, path) for path in files.existing_folder(folder, "dated results").iterdir()
             if path.is_dir() and RESULT_FOLDER.fullmatch(path.name)]
    if not found:
        raise UserError(f"{folder}: holds no result folder of msame or ais_infer; run one of them with "
                        f"--output {folder}")
    return max(found)[1]


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.data.result_files", description=errors.first_line(__doc__))
    parser.add_argument("verb", choices=["newest"], help="print the result folder that msame or ais_infer made last")
    parser.add_argument("folder", metavar="DIR")
    print(newest(parser.parse_args(argv).folder))


if __name__ == "__main__":
    errors.run(main)
