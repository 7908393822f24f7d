"""Which variant of its network a model is: what the export read off the checkpoint and wrote into the ONNX metadata.

Preprocess reads it with `--onnx` and leaves it in the manifest; postprocess and PyTorch's run take it from there. An
`.om` has no metadata: the `.onnx` of the same name beside it is read. `python3 -m common.data.variant FILE [KEY...]`
prints it, of an ONNX file or of a folder that preprocess wrote (there also `shape`, of the first sample).
"""
from __future__ import annotations

import argparse
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence

from common.base import errors, facts, files, model_file
from common.base.errors import UserError

Variant = Mapping[str, str]
HELP = "the model that the samples are for: its variant is taken from it (default: the reference's)"


def of_model(path: files.PathLike, network: Optional[str] = None) -> Dict[str, str]:
    """The metadata of an ONNX file. network: the name that it must have there, if any.

    Raises `UserError` for a model of another network, and for an `.om` without its `.onnx` beside it.
    """
    path = Path(path)
    if path.suffix == ".om":
        if not path.with_suffix(".onnx").is_file():
            raise UserError(f"{path}: an .om does not tell its variant; put {path.with_suffix('.onnx').name}, from which "
                            "it was made, beside it, or give that")
        path = path.with_suffix(".onnx")
    found = model_file.metadata(path)
    if network and found.get("network", network) != network:
        raise UserError(f"{path}: is a model of {found['network']}, expected one of {network}")
    return found


def of_samples(prep: files.PathLike) -> Dict[str, str]:
    """What preprocess left in the manifest of `prep`; empty where it was told no model."""
    from common.data import dataset
    return dict(dataset.manifest(prep).get("variant", {}))


def find(model: facts.Facts, onnx: Optional[str] = None, prep: Optional[str] = None) -> Dict[str, str]:
    """The variant as the model `onnx` tells it, else as the samples in `prep` do; empty where neither is given.

    Raises `UserError` when both tell and differ in what the samples depend on.
    """
    told, left = of_model(onnx, model.name) if onnx else {}, of_samples(prep) if prep else {}
    for key in sorted(set(told) & set(left)):
        if key not in ("checkpoint_sha256", "upstream", "parameters", "untrained") and told[key] != left[key]:
            raise UserError(f"{prep}: was preprocessed for a model of {key} {left[key]}, {onnx} has {key} {told[key]}; "
                            "run the preprocess script for this model")
    return {**left, **told}


def number(variant: Variant, key: str, default: int) -> int:
    """A whole number of the variant. Raises `UserError` where it is something else."""
    from common.base import settings
    return settings.number(variant[key], f"the model's metadata: {key}", 0) if key in variant else default


def require(variant: Variant, key: str, expected: int, reason: str) -> None:
    """Raise `UserError` when the variant tells another number than the evaluation here is made for."""
    found = number(variant, key, expected)
    if found != expected:
        raise UserError(f"the model has {key} {found}, expected {expected}: {reason}")


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.data.variant",
                                     description="Print which variant of its network a model is.")
    parser.add_argument("place", metavar="FILE", help="ONNX file, or folder that a preprocess script wrote")
    parser.add_argument("keys", metavar="KEY", nargs="*", help="print the values of these alone, one a line")
    args = parser.parse_args(argv)
    if Path(args.place).is_dir():
        from common.data import dataset
        first = dataset.read_manifest(args.place)[0]
        found = {**of_samples(args.place), "shape": ",".join(map(str, first["shape"]))}
    else:
        found = of_model(args.place)
    missing: List[str] = [key for key in args.keys if key not in found]
    if missing:
        raise UserError(f"{args.place}: does not tell {missing[0]}; it tells {', '.join(sorted(found)) or 'nothing'}")
    print("\n".join([found[key] for key in args.keys] or [f"{key}: {value}" for key, value in sorted(found.items())]))


if __name__ == "__main__":
    errors.run(main)
