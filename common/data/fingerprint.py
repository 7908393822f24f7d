"""Has preprocessing changed since the model was brought here? `python3 -m common.data.fingerprint check|write`.

`fingerprint.json` in a model's folder holds the statistics of one fixed made-up picture after preprocessing. `check`
makes them anew, before inference, and stops the run when they differ: another resize filter, a lost /255 or swapped
channels spoil accuracy without any error. `write` stores them, after a change that is meant.
"""
from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Sequence

from common.base import errors, files, uses
from common.base.errors import UserError
from common.base.settings import width_height

if TYPE_CHECKING:
    import numpy as np

FILE = "fingerprint.json"
OVERALL, SINGLE = 0.002, 0.03
"""Allowed differences, in standard deviations of the fingerprint: of a mean, and of a single value (a resize that
computes in whole numbers may round otherwise on another processor)."""


def picture(height: int, width: int) -> "np.ndarray":
    """The made-up picture: uint8 [height, width, 3], RGB, waves and gradients under fine noise, red brighter than blue.

    It is computed in whole numbers, so that it is the same everywhere. The noise makes it differ after any two filters.
    """
    import numpy as np
    y, x = np.mgrid[:height, :width].astype(np.uint32)
    mixed = (x * np.uint32(2654435761)) ^ (y * np.uint32(2246822519))
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(3266489917)
    noise = (mixed >> np.uint32(24)) % 64
    red = x * 120 // max(1, width) + 72 * ((x // 8 + y // 8) % 2)
    green = y * 150 // max(1, height) + 24 * ((x + 2 * y) // 16 % 2)
    blue = (x + y) * 90 // max(1, width + height)
    return np.clip(np.stack([red, green, blue], 2) + noise[..., None], 0, 255).astype(np.uint8)


def statistics(tensor: "np.ndarray") -> Dict[str, Any]:
    """What is kept of a preprocessed tensor [..., C, H, W] or [rows, values]: shape, dtype, means, extremes, detail.

    channel_means: over all but the third dimension from the end. roughness: mean absolute difference of neighbours
    along the last dimension, which every filter changes. values: 16 of the tensor's, evenly spread.
    """
    import numpy as np
    values = tensor.astype(np.float64)
    channels = values.mean(axis=tuple(axis for axis in range(values.ndim) if axis != values.ndim - 3))
    flat = values.reshape(-1)
    return {"shape": list(tensor.shape), "dtype": str(tensor.dtype), "mean": float(values.mean()),
            "std": float(values.std()), "min": float(values.min()), "max": float(values.max()),
            "channel_means": [float(value) for value in np.atleast_1d(channels)],
            "roughness": float(np.abs(np.diff(values, axis=-1)).mean()),
            "values": [float(value) for value in flat[np.linspace(0, flat.size - 1, 18).astype(int)[1:-1]]]}


def make(declared: Mapping[str, Any], folder: files.PathLike) -> Dict[str, Any]:
    """The fingerprint as it is now. declared: `{"function": "module.function", "picture": [height, width]}`; the
    function takes the picture and gives the network's input.

    Nothing is imported but a preprocess script of the model's folder: a file must not choose the code that runs.
    """
    module, _, name = str(declared["function"]).rpartition(".")
    script = Path(folder) / f"{module}.py"
    spec = importlib.util.find_spec(module) if re.fullmatch(r"\w*preprocess\w*", module) and script.is_file() else None
    if spec is None or not spec.origin or not os.path.samefile(spec.origin, script):
        raise UserError(f"{Path(folder) / FILE}: {declared['function']}: expected a function of the preprocess script beside "
                        "it, which can be imported from here; source the model's env.sh")
    found = statistics(getattr(importlib.import_module(module), name)(picture(*declared["picture"])))
    return {"function": declared["function"], "picture": list(declared["picture"]), **found}


def explain(stored: Mapping[str, Any], found: Mapping[str, Any]) -> Optional[str]:
    """What has changed, and what it looks like; None when nothing has."""
    for key in ("shape", "dtype"):
        if stored[key] != found[key]:
            return f"its {key} is {found[key]}, it was {stored[key]}"
    unit = stored["std"] or 1.0

    def off(key: str, share: float = OVERALL) -> bool:
        pairs = zip(stored[key], found[key]) if isinstance(stored[key], list) else [(stored[key], found[key])]
        return any(not abs(ours - theirs) <= share * unit for ours, theirs in pairs)

    differing = [key for key in ("mean", "std", "channel_means", "roughness") if off(key)]
    differing += [key for key in ("min", "max", "values") if off(key, SINGLE)]
    if not differing:
        return None
    ratio = found["std"] / unit
    for factor in (255.0, 1 / 255):
        if abs(ratio / factor - 1) < 0.02:
            what = "lost" if factor > 1 else "added"
            return f"its values spread {ratio:.4g} times as wide: a division by 255 was {what}"
    same = abs(ratio - 1) < OVERALL and not off("mean")
    if same and "channel_means" in differing and not any(
            abs(ours - theirs) > OVERALL * unit for ours, theirs in zip(stored["channel_means"][::-1],
                                                                        found["channel_means"])):
        return "its channels stand in the opposite order: RGB and BGR were swapped"
    if not off("channel_means", 0.02) and "roughness" in differing:
        return (f"neighbours differ by {found['roughness']:.4g}, it was {stored['roughness']:.4g}, with nearly equal "
                "means: another resize filter, or one without antialiasing")
    if abs(ratio - 1) < OVERALL and "mean" in differing:
        return f"its mean is {found['mean']:.4g}, it was {stored['mean']:.4g}: another mean is subtracted, or none"
    if abs(ratio - 1) >= 0.02:
        return f"its values spread {ratio:.4g} times as wide as they did"
    key = differing[0]
    return f"its {key.replace('_', ' ')} is {_short(found[key])}, it was {_short(stored[key])}"


def _short(value: Any) -> str:
    return str([float(f"{each:.4g}") for each in value]) if isinstance(value, list) else f"{value:.4g}"


def check(folder: files.PathLike) -> Dict[str, Any]:
    """Hold preprocessing against the stored fingerprint; gives it back. Raises `UserError` when it has changed."""
    path = Path(folder) / FILE
    uses.note(path)
    stored = files.read_json(path, "fingerprint")
    try:
        found = make(stored, folder)
        changed = explain(stored, found)
    except (KeyError, TypeError, ValueError, ImportError, AttributeError) as error:
        raise UserError(f"{path}: cannot be checked ({type(error).__name__}: {error}); `python3 -m common.data.fingerprint "
                        "write` makes it anew") from error
    if changed:
        raise UserError(f"{stored['function']}: preprocessing has changed: of the made-up picture {changed}. Accuracy "
                        f"would be of another model input; undo the change, or if it is meant store it in {path.name}: "
                        "python3 -m common.data.fingerprint write")
    return stored


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.data.fingerprint", description=errors.first_line(__doc__))
    parser.add_argument("verb", choices=("check", "write"))
    parser.add_argument("--model", default=".", help="the model's folder (default: here)")
    parser.add_argument("--function", help="write: MODULE.FUNCTION that takes the picture (default: as stored)")
    parser.add_argument("--picture", type=width_height, metavar="WIDTHxHEIGHT",
                        help="write: size of the picture (default: as stored)")
    args = parser.parse_args(argv)
    path = Path(args.model) / FILE
    if args.verb == "check":
        print(f"fingerprint: preprocessing is as stored ({check(args.model)['function']})")
        return
    declared = files.read_json(path, "fingerprint") if path.exists() else {}
    declared.update({key: value for key, value in (("function", args.function), (
        "picture", args.picture and list(args.picture[::-1]))) if value})
    if not {"function", "picture"} <= declared.keys():
        raise UserError(f"{path}: no such file; give --function and --picture to make it")
    files.write_json(path, make(declared, args.model))
    print(f"{path}: written")


if __name__ == "__main__":
    errors.run(main)
