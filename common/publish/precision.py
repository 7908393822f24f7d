"""The page's section on half precision: from layers.json, keep.json and rehearse.json beside a report, where they are."""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any, List, Mapping, Optional, Tuple

from common.base import files
from common.judge.agreement import WORST, figures
from common.precision.rehearse import NOT_MODELLED

ROWS = 6
HEAD = ("operator", "kind", "largest magnitude", "lost to 0, %", "relative error", "times its inputs'")
NUMBERS = (2, 3, 4, 5)


def figure(value: Any, form: str) -> str:
    return "not finite" if value is None else format(value, form)


def row(step: Mapping[str, Any]) -> Tuple[str, ...]:
    return (step["operator"], step["kinds"], f"{step['largest']:.4g}", f"{step['lost_percent']:.3g}",
            figure(step["relative"], ".2e"), "-" if step["kinds"] == "weight" else figure(step["growth"], ".1f"))


def rows(found: Mapping[str, Any]) -> List[Tuple[str, ...]]:
    """The operators whose error grows most, in the network's order."""
    steps = [step for step in found["rows"] if step["kinds"] != "weight"]
    most = sorted(steps, key=lambda step: -math.inf if step["growth"] is None else -step["growth"])[:ROWS]
    return [row(step) for step in steps if step in most]


def layers(folder: Path, table: Any) -> List[Any]:
    """Where half precision strays, as `make layers` and `make keep` found it. table: the page's own."""
    from dominate import tags
    if not (folder / "layers.json").is_file():
        return []
    found = files.read_json(folder / "layers.json", "layers")
    made = [tags.h3("Layer by layer"), tags.p(f"{found['own']} against {found['other']}, {len(found['rows'])} tensors on "
                                              f"{found['samples']} samples; none of it is an NPU figure.", cls="small dim"),
            table(HEAD, rows(found), NUMBERS), *[tags.p(f"{text}.") for text in found["sentences"]]]
    if (folder / "keep.json").is_file():
        kept = files.read_json(folder / "keep.json", "keep")
        made.append(tags.p(f"Kept in float32, so that half precision holds: {', '.join(kept['keep'])}." if kept["keep"]
                           else "No operator has to stay in float32."))
    return [*made, tags.details(tags.summary(f"All {len(found['rows'])} tensors, in the network's order"),
                                table(HEAD, [row(step) for step in found["rows"]], NUMBERS))]


def rehearsed(folder: Path, agreement: Optional[Mapping[str, Any]], table: Any) -> List[Any]:
    """Accuracy in half precision as `make rehearse` left it, and the samples that lose most.

    Nothing where it was held to other PyTorch outputs than the report's agreement: it is of an earlier run.
    """
    from dominate import tags
    if not (folder / "rehearse.json").is_file():
        return []
    found = files.read_json(folder / "rehearse.json", "rehearse")
    if not agreement or found["agreement"].get("expected_sha256") != agreement.get("expected_sha256"):
        return []
    made = [tags.h3("Half precision, rehearsed ", tags.span(found["agreement"]["verdict"],
                                                            cls=f"badge {found['agreement']['verdict']}")),
            tags.p(f"{found['by']}. Outputs against PyTorch's: {figures(found['agreement'])}.")]
    if found["half"] is not None:
        unit = f", {found['unit']}" if found["unit"] else ""
        named = [("all", found), *((each["sample"], each) for each in found["samples"][:WORST])]
        made.append(table((f"{found['metric']}{unit}", "float32", "half precision", "difference"), [
            (name, f"{each['float32']:.4f}", f"{each['half']:.4f}", f"{each['half'] - each['float32']:+.4f}")
            for name, each in named], (1, 2, 3)))
    made.append(tags.p(f"The samples that lose most come first. Not modelled: {'; '.join(NOT_MODELLED)}."
                       if found["samples"] else f"Not modelled: {'; '.join(NOT_MODELLED)}.", cls="small dim"))
    return made


def section(folder: Path, agreement: Optional[Mapping[str, Any]], table: Any) -> List[Any]:
    """What was looked into beside the report; nothing where none of it was run. table: the page's own."""
    return [*layers(folder, table), *rehearsed(folder, agreement, table)]
