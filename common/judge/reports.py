"""Reading what is judged: accuracy, agreement, report. A verdict in a file is held to the figures beside it, never believed."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, Iterable, Mapping, Optional, Tuple

from common.base import facts, files, json_files
from common.base.errors import UserError
from common.engines.tolerance import COSINE, RELATIVE_EUCLIDEAN, agree
from common.infer import records

SCHEMA = 4
"""Of report.json, as `common/base/schemas/report.schema.json` says."""
EDITED = "the file was edited or two runs were mixed, make it again"


def verdict(value: float, reference: float, tolerance: float) -> str:
    """"pass" unless the value falls more than `tolerance` (relative) below the reference."""
    return "pass" if value >= reference - tolerance * abs(reference) else "fail"


def bound(floor: Mapping[str, Any], baseline: Optional[Mapping[str, Any]]) -> Tuple[float, bool]:
    """The figure that no working model falls to, and whether the baseline on the same samples gave it.

    floor: `facts.Floor`, as a mapping; baseline: an accuracy's.
    """
    if not baseline or baseline["name"] != floor.get("baseline"):
        return floor["value"], False
    found, most = baseline["value"] - floor.get("below", 0.0), floor.get("most")
    return (found, True) if most is None or found < most else (most, False)


def doubt(section: Mapping[str, Any]) -> Optional[str]:
    """Of an accuracy at the floor: that no working model has it, and the likely reasons, in one line; else None.

    section: `value`, `metric`, `unit`, `baseline`, and `floor` (None: there is none) and `untrained`.
    """
    floor, unit = section["floor"], f" {section['unit']}" if section["unit"] else ""
    if not floor:
        return None
    least, beside = bound(floor, section["baseline"])
    if section["value"] > least:
        return None
    why = floor["why"]
    if beside:
        less = f" less {floor['below']:g}{unit}" if floor.get("below") else ""
        why = f"{floor['baseline']} on the same samples{less}"
    return (f"no working model has a {section['metric']} of {least:.4g}{unit} ({why}) or less: "
            + ("untrained weights, their accuracy says nothing" if section["untrained"] else f"likely {floor['likely']}"))


def accuracy_verdict(section: Mapping[str, Any]) -> str:
    """The verdict on an accuracy from its figures: "fail" at the floor unless the weights were never trained."""
    if doubt(section) and not section["untrained"]:
        return "fail"
    return "none" if section["reference"] is None else verdict(section["value"], section["reference"], section["tolerance"])


def overall(verdicts: Iterable[str]) -> str:
    """"fail" when one is, else "pass" when one is, else "none"."""
    found = set(verdicts)
    return "fail" if "fail" in found else "pass" if "pass" in found else "none"


WORST = 5
"""Samples that are listed, the worst first."""


ABOVE = 1.0
"""Share of a chip's nominal peak beyond which a figure is wrong."""


def fraction(samples_per_s: float, macs: int, peak_tflops: float) -> float:
    """The share of a nominal peak that a throughput is, a multiply-accumulate being two operations."""
    return 2 * macs * samples_per_s / (peak_tflops * 1e12)


def peak_verdict(shares: Iterable[Mapping[str, Any]]) -> str:
    """"fail" where a figure is above its chip's peak; else "none": a figure below it proves nothing."""
    return "fail" if any(one["share"] > ABOVE for one in shares) else "none"


def accuracy(path: files.PathLike, model: facts.Facts) -> Dict[str, Any]:
    """What a postprocess left, held to the model and to itself.

    Raises `UserError` for another model's or another metric's, rows that contradict the count, stand in another order or
    name a sample twice, and a value that the metric cannot have or the rows do not give.
    """
    found = files.read_json(path, "accuracy")
    for key, expected in (("metric", model.metric.name), ("unit", model.metric.unit)):
        if found[key] != expected:
            raise UserError(f"{path}: {key} is {found[key]!r}, expected {expected!r}: it is of another model than "
                            f"{model.name}")
    rows = found["rows"]
    if len(rows) != found["samples"]:
        raise UserError(f"{path}: samples is {found['samples']}, but there are {len(rows)} rows; {EDITED}")
    seen = set()
    for row in rows:
        if row["sample"] in seen:
            raise UserError(f"{path}: rows name {row['sample']} twice; {EDITED}")
        seen.add(row["sample"])
    values = [row["value"] for row in rows]
    if values != sorted(values):
        raise UserError(f"{path}: rows are not in order, the worst first; {EDITED}")
    low, high = model.metric.range or (float("-inf"), float("inf"))
    for name, value in (("value", found["value"]), ("the first row", values[0]), ("the last row", values[-1])):
        if not low <= value <= high:
            raise UserError(f"{path}: {name} is {value:g}, {model.metric.name} is in {low:g} to {high:g}; what wrote it went "
                            "wrong")
    if model.metric.mean:
        mean = sum(values) / len(values)
        if abs(found["value"] - mean) > records.CLOSE * max(1.0, abs(mean)):
            raise UserError(f"{path}: value is {found['value']:g}, but the mean of its rows is {mean:g}; {EDITED}")
    return found


def value(path: Path, model: facts.Facts) -> Optional[float]:
    """The metric's figure of what a postprocess left, None where there is none."""
    return accuracy(path, model)["value"] if path.exists() else None


def same_samples(found: Mapping[str, Any], pytorch: Optional[Mapping[str, Any]], where: files.PathLike) -> None:
    """Raise `UserError` where PyTorch's accuracy is over another number of samples: a mean over others is no reference."""
    if pytorch is not None and pytorch["samples"] != found["samples"]:
        raise UserError(f"{where}: PyTorch's accuracy is over {pytorch['samples']} samples, the other over "
                        f"{found['samples']}; run both on the same samples")


def agreement(path: files.PathLike) -> Dict[str, Any]:
    """What a comparison of two result folders left. Raises `UserError` where its figures deny each other."""
    found = files.read_json(path, "agreement")
    check_agreement(found, path)
    return found


def check_agreement(found: Mapping[str, Any], where: files.PathLike) -> None:
    """Raise `UserError` unless the worst samples have the worst figures, and the verdict is theirs."""
    worst = found["worst"]
    if len(worst) != min(WORST, found["outputs"]) or found["outputs"] < found["samples"]:
        raise UserError(f"{where}: {len(worst)} worst of {found['outputs']} outputs of {found['samples']} samples do not "
                        f"belong together; {EDITED}")
    for key, first in (("cosine", min(row["cosine"] for row in worst)),
                       ("max_abs", max(row["max_abs"] for row in worst)),
                       ("relative_euclidean", max(row["relative_euclidean"] for row in worst))):
        beyond = found[key] != first if key == "cosine" else found[key] < first
        if beyond:
            raise UserError(f"{where}: {key} is {found[key]:g}, but the worst sample has {first:g}; {EDITED}")
    if found["verdict"] != agree(found):
        raise UserError(f"{where}: says {found['verdict']}, its figures say {agree(found)}: cosine {found['cosine']:.9f} (at "
                        f"least {COSINE}), relative Euclidean {found['relative_euclidean']:.3g} (at most "
                        f"{RELATIVE_EUCLIDEAN}); {EDITED}")


def report(path: files.PathLike) -> Dict[str, Any]:
    """A report.json, its figures and verdicts held to each other. Raises `UserError` for one of another version."""
    found = files.read_json(path, {})
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise UserError(f"{path}: is no report of this version (schema {SCHEMA}); run make again")
    json_files.check(found, "report", str(path))
    for part in ("agreement", "om_agreement"):
        if found[part]:
            check_agreement(found[part], f"{path}: {part}")
    own = found["accuracy"]
    if own and found["inputs"]["checkpoint"] == "seeded":
        raise UserError(f"{path}: has an accuracy of seeded weights, which were never trained; {EDITED}")
    if own:
        expected = accuracy_verdict(own)
        if own["verdict"] != expected:
            raise UserError(f"{path}: accuracy says {own['verdict']}, its figures say {expected}: {own['value']:g}, reference "
                            f"{own['reference']}; {EDITED}")
        if own["doubt"] != doubt(own):
            raise UserError(f"{path}: accuracy's doubt is {own['doubt']!r}, its figures say {doubt(own)!r}; {EDITED}")
        if len(own["worst"]) != min(WORST, own["samples"]):
            raise UserError(f"{path}: accuracy lists {len(own['worst'])} of {own['samples']} samples; {EDITED}")
    for run in found["performance"]:
        records.check(run, f"{path}: performance of {run['model']}")
    for one in found["shares"]:
        records.equal(one["share"], fraction(one["samples_per_s"], one["macs"], one["peak_tflops"]),
                      f"{path}: share of {one['what']}", "2 * macs * samples_per_s over the peak")
    given = {name: found[name]["verdict"] if found[name] else "none" for name in ("accuracy", "agreement", "om_agreement")}
    given["peak"] = peak_verdict(found["shares"])
    if found["verdicts"] != given or found["verdict"] != overall(given.values()):
        raise UserError(f"{path}: verdict is {found['verdict']} with {found['verdicts']}, its parts say {given}; {EDITED}")
    return found
