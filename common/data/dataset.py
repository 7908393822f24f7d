"""The files between preprocessing and inference: `.bin` tensors, the `.info` list, and the manifest.

The manifest (`manifest.json`, see `common.base.journal`) pairs samples: id, source, original size, padding, shape, dtype.
It is written last and so marks a finished preprocessing.
"""
from __future__ import annotations

import contextlib
import functools
import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common.base import files, names, settings, uses
from common.base.errors import UserError
from common.base.journal import Journal, stamp
from common.base.progress import progress

if TYPE_CHECKING:
    import numpy as np

MANIFEST = "manifest.json"
SAMPLE = {"$ref": "manifest.schema.json#/definitions/sample"}


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
    files.write_bytes(path, np.ascontiguousarray(array))


def read_bin(path: files.PathLike, shape: Sequence[int], dtype: str = "float32") -> "np.ndarray":
    """Read a raw array of known shape. Raises `UserError` on another file length, NaN or infinity."""
    return _read(path, shape, dtype)


def read_result(path: files.PathLike, shape: Sequence[int]) -> "np.ndarray":
    """Read an output that an inference left, float32 of this shape. Raises `UserError` as `read_bin` does.

    A file of half as many bytes holds float16, as an .om made with --output_type=FP16 leaves it.
    """
    return _read(path, shape, "float32", "float16").astype("float32", copy=False)


def _read(path: files.PathLike, shape: Sequence[int], *dtypes: str) -> "np.ndarray":
    """The array in a file, of the first of the dtypes by which the file is as long as it is."""
    import numpy as np
    found, count = files.length(path, "a .bin file"), math.prod(shape)
    dtype = next((each for each in dtypes if count * np.dtype(each).itemsize == found), None)
    if dtype is None:
        dims, wanted = "x".join(map(str, shape)), count * np.dtype(dtypes[0]).itemsize
        raise UserError(f"{path}: expected {wanted} bytes ({dims} {dtypes[0]}), found {found}; make it again")
    array = np.empty(shape, dtype)
    files.read_into(path, array)
    if not is_finite(array):
        raise UserError(f"{path}: holds NaN or infinite values; the inference that wrote it went wrong")
    return array


class Preprocessing(NamedTuple):
    """How a dataset's samples are turned into tensors: the arguments of `preprocess`, which says what they mean.

    A model's preprocess script gives it as `plan(argv)`, for `preprocess` and for `common.infer.stream`.
    """

    sources: Sequence[Tuple[str, Sequence[Path]]]
    folder: files.PathLike
    make: Callable[..., Tuple["np.ndarray", Dict[str, Any]]]
    settings: Mapping[str, Any]
    sample_bytes: int
    advice: str = ""
    bins: str = "bin"
    variant: Mapping[str, str] = {}
    sizes: Mapping[str, Tuple[int, int]] = {}


def preprocess(sources: Iterable[Tuple[str, Sequence[Path]]], folder: files.PathLike,
               make: Callable[..., Tuple["np.ndarray", Dict[str, Any]]], settings: Mapping[str, Any],
               sample_bytes: int, advice: str = "", bins: str = "bin", variant: Optional[Mapping[str, str]] = None,
               sizes: Optional[Mapping[str, Tuple[int, int]]] = None) -> List[Dict[str, Any]]:
    """Turn every source into `<folder>/<bins>/<id>.bin` and write the manifest last.

    sources: (sample id, the files it is made from); `make(*files)` gives the tensor and what the manifest shall say
    of the sample. settings: all that the tensors depend on beside the files; together with the project's code that is
    loaded they decide whether an earlier run's files still hold. sample_bytes: size of one `.bin`, the largest where they
    differ, for the check of free disk before the start. variant: of the model that they are for (`common.data.variant`),
    kept in the manifest. sizes: height and width of each sample, by id, where each has its own.
    A run that was cut off is taken up where it stopped; files of samples that are no
    longer asked for are removed. It is done by JOBS processes (`common.base.workers`). Gives back the manifest's records in
    order.
    """
    from common.base import workers
    folder = Path(folder)
    sources = list(sources)
    if not sources:
        raise UserError(f"{folder}: no samples to preprocess")
    for _, paths in sources:
        for path in paths:
            files.utf8(path)
    journal = Journal(folder / MANIFEST, {"settings": dict(settings), "code": uses.digest()}, SAMPLE)
    place = folder / bins
    target = {names.check(sample, folder): place / f"{names.stem(sample)}.bin" for sample, _ in sources}
    listed = os.listdir(place) if place.is_dir() else []
    files.sweep(place, listed)
    # hidden ones are what a killed run was writing; the next write of the same file replaces it
    others = {name for name in listed if name.endswith(".bin") and not name.startswith(".")}
    others -= {path.name for path in target.values()}
    strays = others & {f"{names.stem(names.check(sample, journal.path))}.bin" for sample in {*journal.left, *journal.planned}}
    if others - strays:
        raise UserError(f"{place / min(others - strays)}: was not written by an earlier run of this script; give another, "
                        "empty folder")
    todo = [(sample, paths) for sample, paths in sources
            if not _finished(journal.finished.get(sample), target[sample], paths)]
    pixels = {sample: math.prod(size) for sample, size in (sizes or {}).items()}
    share = sum(pixels[sample] for sample, _ in todo) / max(pixels.values()) if pixels else len(todo)
    files.need_space(folder, int(share * sample_bytes), advice)
    if todo:
        journal.begin(sample for sample, _ in todo)

    def one(entry: Tuple[str, Sequence[Path]]) -> Dict[str, Any]:
        sample, paths = entry
        array, about = make(*paths)
        write_bin(target[sample], array)
        return {"bin": f"{bins}/{target[sample].name}", "source": [str(path) for path in paths],
                "stamp": [stamp(path) for path in paths], "made": stamp(target[sample]),
                "shape": list(array.shape), "dtype": _name(array.dtype), **about}

    made = progress(workers.ordered(one, todo, 3 * sample_bytes), "preprocess", len(todo))
    with _noted(journal, [path for path in target.values() if path.name not in listed]):
        for (sample, _), record in zip(todo, made):
            journal.add(sample, record)
    for stray in strays:
        (place / stray).unlink()
    journal.complete(target, variant=dict(variant or {}))
    print(f"preprocess: {len(sources)} samples in {place} ({len(sources) - len(todo)} were there already)")
    return [journal.finished[sample] for sample in target]


@contextlib.contextmanager
def _noted(journal: Journal, new: Sequence[Path]) -> Iterator[None]:
    """Close the journal in the end. Where it then tells of no sample, the files that other processes made ahead go too."""
    try:
        with journal:
            yield
    except BaseException:
        if journal.empty:
            for path in new:
                path.unlink(missing_ok=True)
        raise


_name = functools.lru_cache(maxsize=None)(str)
"""What a dtype is called: NumPy takes as long to say it as to write a small picture's note."""


def _finished(record: Optional[Mapping[str, Any]], target: Path, paths: Sequence[Path]) -> bool:
    if record is None or not target.is_file():
        return False
    return (record["stamp"] == [stamp(path) for path in paths] and record["source"] == [str(path) for path in paths]
            and record["made"] == stamp(target))


def read_manifest(folder: files.PathLike) -> List[Dict[str, Any]]:
    """The records of a finished preprocessing, in order; `bin` is made relative to the caller."""
    place = "" if Path(folder) == Path() else os.path.join(folder, "")
    return [{**record, "bin": place + (record["bin"][2:] if record["bin"].startswith("./") else record["bin"])}
            for record in manifest(folder)["samples"]]


def manifest(folder: files.PathLike) -> Mapping[str, Any]:
    """The manifest of a finished preprocessing. Raises `UserError` where there is none, or one that does not hold together."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise UserError(f"{path}: no such file; preprocessing has not been run there or has not finished")
    return _manifest(path, *stamp(path).values(), path.stat().st_ino)


@functools.lru_cache(maxsize=1)
def _manifest(path: Path, *_: int) -> Mapping[str, Any]:
    """What `manifest` gives of this file: it is read once as long as its stamp is the same."""
    whole, seen = files.read_json(path, "manifest"), set()
    for record in whole["samples"]:
        name = names.check(record["id"], path)
        stem = names.stem(name)
        if name in seen:
            raise UserError(f"{path}: names {name} twice; preprocess again, into an empty folder")
        seen.add(name)
        if names.inside(record["bin"], path).rpartition("/")[2] != f"{stem}.bin":
            raise UserError(f"{path}: {name} has {record['bin']!r}, expected {stem}.bin; preprocess again, into an empty "
                            "folder")
    return whole


def read_sample(record: Mapping[str, Any]) -> "np.ndarray":
    """A record's preprocessed sample as the network takes it, of the record's dtype: [C, H, W] with a batch dimension, of
    any other number of dimensions as it is. Raises `UserError` as `read_bin` does."""
    shape = record["shape"] if len(record["shape"]) != 3 else [1, *record["shape"]]
    return read_bin(record["bin"], shape, record["dtype"])


def write_info(bins: files.PathLike, info: files.PathLike, size: Optional[Tuple[int, int]] = None,
               count: Optional[int] = None) -> int:
    """Write the list that `benchmark` reads: `index path width height` per `.bin` file of the folder, sorted.

    size: width and height of all; None: each sample's own, as the manifest above the folder tells.
    The paths are written as the folder was given, relative to where the tool will be run. Gives back their number.
    """
    folder = files.existing_folder(bins, ".bin files")
    paths = sorted(path for path in folder.glob("*.bin") if not path.name.startswith("."))[:count]
    if not paths:
        raise UserError(f"{folder}: expected .bin files, found none; run the preprocess script first")
    odd = next((path for path in paths if any(character.isspace() for character in str(path))), None)
    if odd is not None:
        raise UserError(f"{odd}: the .info format separates by spaces, so no path in it may hold one; give the folder by a "
                        "relative path without spaces")
    own = {} if size else {record["id"]: record["shape"][:-3:-1] for record in read_manifest(folder.parent)}
    sample = {path: names.of_stem(path.stem) for path in paths}
    missing = next((path for path in paths if not size and sample[path] not in own), None)
    if missing is not None:
        raise UserError(f"{missing}: is none of the samples of {folder.parent / MANIFEST}; preprocess again")
    lines = ["{} {} {} {}\n".format(index, path, *(size or own[sample[path]])) for index, path in enumerate(paths)]
    files.write_text(info, "".join(lines))
    return len(paths)


def info_main(argv: Optional[Sequence[str]], program: str) -> None:
    """The command line of `get_info.py` and `gen_dataset_info.py`: `bin DIR INFO [WIDTH HEIGHT]`."""
    import argparse

    parser = argparse.ArgumentParser(
        prog=program, description="Write the .info list that the benchmark tool reads: index, path, width, height.",
        epilog="LIMIT=N in the environment takes the first N files.")
    parser.add_argument("kind", choices=["bin"], help="what the folder holds")
    parser.add_argument("folder", metavar="DIR", help="folder with the .bin files")
    parser.add_argument("info", metavar="INFO", help="file to write")
    parser.add_argument("width", type=settings.positive, nargs="?", help="of every sample (default: each one's own, as the "
                        "manifest above DIR tells)")
    parser.add_argument("height", type=settings.positive, nargs="?", help="as width")
    args = parser.parse_args(argv)
    if (args.width is None) != (args.height is None):
        parser.error("give width and height, or neither")
    size = (args.width, args.height) if args.height else None
    count = write_info(args.folder, args.info, size, settings.limit())
    print(f"{program}: {count} samples listed in {args.info}")
