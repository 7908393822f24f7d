"""The page's sections on what an NPU will make of the network: half precision rehearsed, its layers, CANN's limits.

They are from the files beside a report that `make rehearse`, `layers`, `keep` and `cann` left, where those are of its model.
"""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Callable, Collection, List, Mapping, Sequence, Tuple

from common.base import files
from common.judge import agreement

ROWS = 6
HEAD = ("operator", "kind", "largest magnitude", "lost to 0, %", "relative error", "times its inputs'")
Table = Callable[[Sequence[str], Sequence[Sequence[str]], Sequence[int]], Any]


def figure(value: Any, form: str) -> str:
    return "not finite" if value is None else format(value, form)


def rows(found: Mapping[str, Any]) -> List[Tuple[str, ...]]:
    """The operators whose error grows most, in the network's order."""
    steps = [row for row in found["rows"] if row["kinds"] != "weight"]
    most = sorted(steps, key=lambda row: -math.inf if row["growth"] is None else -row["growth"])[:ROWS]
    return [(row["operator"], row["kinds"].replace("+", " + "), f"{row['largest']:.4g}", f"{row['lost_percent']:.3g}",
             figure(row["relative"], ".2e"), figure(row["growth"], ".1f")) for row in steps if row in most]


def rehearsed(found: Mapping[str, Any], table: Table) -> List[Any]:
    from dominate import tags
    unit = found["unit"] and f" {found['unit']}"
    made = [tags.h3("Half precision rehearsed"), tags.p(f"{found['by']}. Outputs against PyTorch's: "
                                                        f"{agreement.figures(found['agreement'])}.", cls="small dim")]
    if found["half"] is not None:
        made.append(tags.p(f"{found['metric']}: float32 {found['float32']:.4f}{unit}, half precision {found['half']:.4f}{unit}, "
                           f"difference {found['half'] - found['float32']:+.4f}{unit}."))
        made.append(table(("samples that lose most", "float32", "half precision", "difference"), [
            (each["sample"], f"{each['float32']:.4f}", f"{each['half']:.4f}", f"{each['half'] - each['float32']:+.4f}")
            for each in found["samples"][:agreement.WORST]], (1, 2, 3)))
    return made


def layered(found: Mapping[str, Any], table: Table) -> List[Any]:
    from dominate import tags
    return [tags.h3("Layer by layer"), tags.p(f"{found['own']} against {found['other']}, {len(found['rows'])} tensors on "
                                              f"{found['samples']} samples; none of it is an NPU figure.", cls="small dim"),
            table(HEAD, rows(found), (2, 3, 4, 5)), *[tags.p(f"{text[0].upper()}{text[1:]}.") for text in found["sentences"]]]


def kept(found: Mapping[str, Any], _: Table) -> List[Any]:
    from dominate import tags
    return [tags.p(f"Kept in float32, so that half precision holds: {', '.join(found['keep'])}." if found["keep"]
                   else "No operator has to stay in float32.")]


def limits(found: Mapping[str, Any], _: Table) -> List[Any]:
    from dominate import tags
    on, unchecked = found["chip"], ", ".join(sorted(found["not_checked"]))
    made = [tags.h3("CANN's published limits"), tags.p(
        "Held against the pages for ", f"{on['name']} ({on['product']})" if on else "every product", ". Not checked in full: "
        f"{unchecked or 'nothing'}. No figure here is of an NPU.", cls="small dim")]
    return [*made, tags.ul(*[tags.li("; ".join(each["told"])) for each in found["findings"]]) if found["findings"] else
            tags.p("No limit of the table is broken.")]


SECTIONS = (("rehearse", rehearsed), ("layers", layered), ("keep", kept), ("cann", limits))


def sections(folder: Path, known: Collection[str], table: Table) -> List[Any]:
    """Headlines, tables and sentences of what is there. known: the SHA-256 of the report's models; table: the page's own."""
    made: List[Any] = []
    for name, section in SECTIONS:
        if (folder / f"{name}.json").is_file():
            found = files.read_json(folder / f"{name}.json", name)
            if found["model_sha256"] in known:
                made += section(found, table)
    return made
