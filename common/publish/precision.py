"""The page's sections on what an NPU will make of the network: its layers, half precision rehearsed, CANN's limits, AIPP.

They are from the files beside a report that `make layers`, `keep`, `rehearse`, `cann` and `aipp` left, where of its model.
"""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Collection, List, Mapping, Tuple

from common.base import files
from common.judge.agreement import WORST, figures
from common.precision.rehearse import NOT_MODELLED
from common.publish.elements import badge, table

ROWS = 6
HEAD = ("operator", "kind", "largest magnitude", "lost to 0, %", "relative error", "times its inputs'")
NUMBERS = (2, 3, 4, 5)


def figure(value: Any, form: str) -> str:
    return "not finite" if value is None else format(value, form)


def row(step: Mapping[str, Any]) -> Tuple[str, ...]:
    return (step["operator"], step["kinds"].replace("+", " + "), f"{step['largest']:.4g}", f"{step['lost_percent']:.3g}",
            figure(step["relative"], ".2e"), "-" if step["kinds"] == "weight" else figure(step["growth"], ".1f"))


def rows(found: Mapping[str, Any]) -> List[Tuple[str, ...]]:
    """The operators whose error grows most, in the network's order."""
    steps = [step for step in found["rows"] if step["kinds"] != "weight"]
    most = sorted(steps, key=lambda step: -math.inf if step["growth"] is None else -step["growth"])[:ROWS]
    return [row(step) for step in steps if step in most]


def layers(found: Mapping[str, Any]) -> List[Any]:
    from dominate import tags
    return [tags.h3("Layer by layer"), tags.p(f"{found['own']} against {found['other']}, {len(found['rows'])} tensors on "
                                              f"{found['samples']} samples; none of it is an NPU figure.", cls="small dim"),
            table(HEAD, rows(found), NUMBERS), *[tags.p(f"{text[0].upper()}{text[1:]}.") for text in found["sentences"]],
            tags.details(tags.summary(f"All {len(found['rows'])} tensors, in the network's order"),
                         table(HEAD, [row(step) for step in found["rows"]], NUMBERS))]


def kept(found: Mapping[str, Any]) -> List[Any]:
    from dominate import tags
    return [tags.p(f"Kept in float32, so that half precision holds: {', '.join(found['keep'])}." if found["keep"]
                   else "No operator has to stay in float32.")]


def rehearsed(found: Mapping[str, Any]) -> List[Any]:
    from dominate import tags
    made = [tags.h3("Half precision, rehearsed ", badge(found["agreement"]["verdict"])),
            tags.p(f"{found['by']}. Outputs against PyTorch's: {figures(found['agreement'])}.")]
    if found["half"] is not None:
        unit = f", {found['unit']}" if found["unit"] else ""
        named = [("all", found), *((each["sample"], each) for each in found["samples"][:WORST])]
        made.append(table((f"{found['metric']}{unit}", "float32", "half precision", "difference"), [
            (name, f"{each['float32']:.4f}", f"{each['half']:.4f}", f"{each['half'] - each['float32']:+.4f}")
            for name, each in named], (1, 2, 3)))
    first = "The samples that lose most come first. " if found["samples"] else ""
    return [*made, tags.p(f"{first}Not modelled: {'; '.join(NOT_MODELLED)}.", cls="small dim")]


def limits(found: Mapping[str, Any]) -> List[Any]:
    from dominate import tags
    on, unchecked = found["chip"], ", ".join(sorted(found["not_checked"]))
    made = [tags.h3("CANN's published limits"), tags.p(
        "Held against the pages for ", f"{on['name']} ({on['product']})" if on else "every product", ". Not checked in full: "
        f"{unchecked or 'nothing'}. No figure here is of an NPU.", cls="small dim")]
    return [*made, tags.ul(*[tags.li("; ".join(each["told"])) for each in found["findings"]]) if found["findings"] else
            tags.p("No limit of the table is broken.")]


def aipp(found: Mapping[str, Any]) -> List[Any]:
    from dominate import tags
    return [tags.h3("Pixels scaled on the chip (AIPP), emulated"), *[
        tags.p(f"{text[0].upper()}{text[1:]}.") for text in found["told"]]]


SECTIONS = (("layers", layers), ("keep", kept), ("rehearse", rehearsed), ("cann", limits), ("aipp", aipp))


def sections(folder: Path, known: Collection[str]) -> List[Any]:
    """Headlines, tables and sentences of what is there. known: the SHA-256 of the report's models."""
    made: List[Any] = []
    for name, section in SECTIONS:
        if (folder / f"{name}.json").is_file():
            found = files.read_json(folder / f"{name}.json", name)
            if found["model_sha256"] in known:
                made += section(found)
    return made
