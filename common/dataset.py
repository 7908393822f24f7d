"""The files between preprocessing and inference: `.bin` tensors, the `.info` list, and the manifest.

The manifest (`manifest.json`, see `common.journal`) pairs samples: id, source, original size, padding, shape, dtype.
It is written last and so marks a finished preprocessing.
"""
from __future__ import annotations

import inspect
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common import files
from common.errors import UserError
from common.journal import Journal, stamp

if TYPE_CHECKING:
    import numpy as np

MANIFEST = "manifest.json"
OLD_SUMMARY = "sumary.json"
"""Spelled as ais_infer spelled it until 2022-09."""


def is_finite(array: "np.ndarray") -> bool:
    """Whether no value is NaN or infinite; looked at in pieces, which stay in the cache."""
    import numpy as np
    flat = array.reshape(-1)
    return array.dtype.kind != "f" or all(np.isfinite(flat[start:start + 65536]).all()
                                          for start in range(0, flat.size, 65536))


def write_bin(path: files.PathLike, array: "np.ndarray") -> None:
    """Write an array as raw little-endian values in C order, atomically. NaN and infinity are refused."""
    import numpy as np
    if not is_finite(array):
        raise UserError(f"{path}: a value is NaN or infinite, not written")
    with files.atomic(path) as temporary:
        np.ascontiguousarray(array).tofile(temporary)


def read_bin(path: files.PathLike, shape: Sequence[int], dtype: str = "float32") -> "np.ndarray":
    """Read a raw array of known shape. Raises `UserError` on another file length, NaN or infinity."""
    import numpy as np
    path = files.existing_file(path, "a .bin file")
    expected = int(np.prod(shape)) * np.dtype(dtype).itemsize
    found = path.stat().st_size
    if found != expected:
        dims = "x".join(map(str, shape))
        raise UserError(f"{path}: expected {expected} bytes ({dims} {dtype}), found {found}; make it again")
    array = np.fromfile(path, dtype).reshape(shape)
    if not is_finite(array):
        raise UserError(f"{path}: holds NaN or infinite values; the inference that wrote it went wrong")
    return array


class Preprocessing(NamedTuple):
    """How a dataset's samples are turned into tensors: the arguments of `preprocess`, which says what they mean.

    A model's preprocess script gives it as `plan(argv)`, for `preprocess` and for `common.stream`.
    """

    sources: Sequence[Tuple[str, Sequence[Path]]]
    folder: files.PathLike
    make: Callable[..., Tuple["np.ndarray", Dict[str, Any]]]
    settings: Mapping[str, Any]
    sample_bytes: int
    advice: str = ""
    bins: str = "bin"


def preprocess(sources: Iterable[Tuple[str, Sequence[Path]]], folder: files.PathLike,
               make: Callable[..., Tuple["np.ndarray", Dict[str, Any]]], settings: Mapping[str, Any],
               sample_bytes: int, advice: str = "", bins: str = "bin") -> List[Dict[str, Any]]:
    """Turn every source into `<folder>/<bins>/<id>.bin` and write the manifest last.

    sources: (sample id, the files it is made from); `make(*files)` gives the tensor and what the manifest shall say
    of the sample. settings: all that the tensors depend on beside the files; together with the source text of `make`'s
    module they decide whether an earlier run's files still hold. sample_bytes: size of one `.bin`, for the check of
    free disk before the start. A run that was cut off is taken up where it stopped; files of samples that are no
    longer asked for are removed. It is done by JOBS processes (`common.workers`). Gives back the manifest's records in
    order.
    """
    from tqdm import tqdm
    from common import workers
    folder = Path(folder)
    sources = list(sources)
    if not sources:
        raise UserError(f"{folder}: no samples to preprocess")
    journal = Journal(folder / MANIFEST, {"settings": dict(settings), "code": code_of(make)})
    target = {sample: folder / bins / f"{sample}.bin" for sample, _ in sources}
    # hidden ones are what a killed run was writing; the next write of the same file replaces it
    strays = {path for path in (folder / bins).glob("*.bin") if not path.name.startswith(".")} - set(target.values())
    if strays and not journal.existed:
        raise UserError(f"{min(strays)}: was not written by an earlier run of this script; give another, empty folder")
    todo = [(sample, paths) for sample, paths in sources
            if not _finished(journal.finished.get(sample), target[sample], paths)]
    files.need_space(folder, len(todo) * sample_bytes, advice)
    if todo:
        journal.begin()

    def one(entry: Tuple[str, Sequence[Path]]) -> Dict[str, Any]:
        sample, paths = entry
        array, about = make(*paths)
        write_bin(target[sample], array)
        return {"bin": f"{bins}/{sample}.bin", "source": [str(path) for path in paths],
                "stamp": [stamp(path) for path in paths],
                "shape": list(array.shape), "dtype": str(array.dtype), **about}

    made = tqdm(workers.ordered(one, todo, 3 * sample_bytes), "preprocess", len(todo), unit="sample", disable=None)
    for (sample, _), record in zip(todo, made):
        journal.add(sample, record)
    for stray in strays:
        stray.unlink()
    journal.complete(target)
    print(f"preprocess: {len(sources)} samples in {folder / bins} ({len(sources) - len(todo)} were there already)")
    return [journal.finished[sample] for sample in target]


def code_of(function: Callable[..., Any]) -> str:
    """SHA-256 of the source file that a function stands in: what it makes is made anew when that changes."""
    return files.sha256(inspect.getsourcefile(function) or "")


def _finished(record: Optional[Mapping[str, Any]], target: Path, paths: Sequence[Path]) -> bool:
    if record is None or not target.is_file():
        return False
    same = record["stamp"] == [stamp(path) for path in paths] and record["source"] == [str(path) for path in paths]
    return same and target.stat().st_size == _nbytes(record)


def _nbytes(record: Mapping[str, Any]) -> int:
    import numpy as np
    return int(np.prod(record["shape"])) * np.dtype(record["dtype"]).itemsize


def read_manifest(folder: files.PathLike) -> List[Dict[str, Any]]:
    """The records of a finished preprocessing, in order; `bin` is made relative to the caller."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise UserError(f"{path}: no such file; preprocessing has not been run there or has not finished")
    return [{**record, "bin": str(Path(folder) / record["bin"])} for record in files.read_json(path)["samples"]]


def write_info(bins: files.PathLike, info: files.PathLike, width: int, height: int,
               count: Optional[int] = None) -> int:
    """Write the list that `benchmark` reads: `index path width height` per `.bin` file of the folder, sorted.

    The paths are written as the folder was given, relative to where the tool will be run. Gives back their number.
    """
    folder = files.existing_folder(bins, ".bin files")
    paths = sorted(path for path in folder.glob("*.bin") if not path.name.startswith("."))[:count]
    if not paths:
        raise UserError(f"{folder}: expected .bin files, found none; run the preprocess script first")
    odd = next((path for path in paths if any(character.isspace() for character in str(path))), None)
    if odd is not None:
        raise UserError(f"{odd}: the .info format separates by spaces, so no path in it may hold one; "
                        "give the folder by a relative path without spaces")
    files.write_text(info, "".join(f"{index} {path} {width} {height}\n" for index, path in enumerate(paths)))
    return len(paths)


def info_main(argv: Optional[Sequence[str]], program: str) -> None:
    """The command line of `get_info.py` and `gen_dataset_info.py`: `bin DIR INFO WIDTH HEIGHT`."""
    import argparse
    from common.pictures import limit
    parser = argparse.ArgumentParser(
        prog=program, description="Write the .info list that the benchmark tool reads: index, path, width, height.",
        epilog="LIMIT=N in the environment takes the first N files.")
    parser.add_argument("kind", choices=["bin"], help="what the folder holds")
    parser.add_argument("folder", metavar="DIR", help="folder with the .bin files")
    parser.add_argument("info", metavar="INFO", help="file to write")
    parser.add_argument("width", type=positive)
    parser.add_argument("height", type=positive)
    args = parser.parse_args(argv)
    count = write_info(args.folder, args.info, args.width, args.height, limit())
    print(f"{program}: {count} samples listed in {args.info}")


def positive(text: str) -> int:
    """An argparse type: a whole number of at least 1."""
    if not text.isdigit() or int(text) < 1:
        import argparse
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, found {text!r}")
    return int(text)


def width_height(text: str) -> Tuple[int, int]:
    """An argparse type: `WIDTHxHEIGHT` in pixels, such as 2048x1024."""
    width, _, height = text.partition("x")
    return positive(width), positive(height)


def results(folder: files.PathLike) -> Dict[str, Dict[int, Path]]:
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
    for path in sorted(folder.glob("*.bin")):
        stem, _, number = path.stem.rpartition("_")
        if path.name.startswith(".") or not stem or not number.isdigit():
            continue
        stem = stem[:-len("_output")] if stem.endswith("_output") else stem
        found.setdefault(stem, {})[int(number)] = path
    if not found:
        raise UserError(f"{folder}: expected result files (<stem>_<number>.bin), found none; run the inference first")
    return found


def from_summary(path: files.PathLike) -> Dict[str, Dict[int, Path]]:
    """What `results` gives, from ais_infer's summary: `filesinfo` says which input gave which outputs (from 0).

    Outputs are looked for where the summary says, and, when the results were moved, in its own result folder: the one
    it lies in (`sumary.json`), or the one beside it that its name begins with (`<folder>_summary.json`).
    """
    path = Path(path)
    summary = files.read_json(path)
    entries = summary.get("filesinfo") if isinstance(summary, dict) else None
    if not isinstance(entries, dict):
        raise UserError(f"{path}: is no summary of ais_infer (filesinfo is missing)")
    if not entries:
        raise UserError(f"{path}: lists no result; run the inference again, with --output")
    folder = path.parent if path.name == OLD_SUMMARY else path.with_name(re.sub(r"_summary$", "", path.stem))
    found: Dict[str, Dict[int, Path]] = {}
    for number, entry in entries.items():
        try:
            infile, outfiles = Path(entry["infiles"][0]), [Path(name) for name in entry["outfiles"]]
        except (KeyError, IndexError, TypeError) as error:
            raise UserError(f"{path}: entry {number} of filesinfo names no input and output file") from error
        if not outfiles:
            raise UserError(f"{path}: entry {number} of filesinfo names no input and output file")
        sample = re.sub(r"\.(bin|npy)$", "", infile.name, flags=re.IGNORECASE)
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
