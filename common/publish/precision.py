"""The page's section on half precision, tensor by tensor: from layers.json and keep.json beside a report, where they are."""
from __future__ import annotations

import math
from pathlib import Path
from typing import Any, List, Mapping, Sequence, Tuple

from common.base import files

ROWS = 6
HEAD = ("operator", "kind", "largest magnitude", "lost to 0, %", "relative error", "times its inputs'")


def figure(value: Any, form: str) -> str:
    return "not finite" if value is None else format(value, form)


def rows(found: Mapping[str, Any]) -> List[Tuple[str, ...]]:
    """The operators whose error grows most, in the network's order."""
    steps = [row for row in found["rows"] if row["kinds"] != "weight"]
    most = sorted(steps, key=lambda row: -math.inf if row["growth"] is None else -row["growth"])[:ROWS]
    return [(row["operator"], row["kinds"], f"{row['largest']:.4g}", f"{row['lost_percent']:.3g}",
             figure(row["relative"], ".2e"), figure(row["growth"], ".1f")) for row in steps if row in most]


def section(folder: Path, table: Any) -> Sequence[Any]:
    """Headline, table and sentences; nothing where `make layers` has not been run. table: the page's own."""
    from dominate import tags
    if not (folder / "layers.json").is_file():
        return []
    found = files.read_json(folder / "layers.json", "layers")
    made = [tags.h3("Layer by layer"), tags.p(f"{found['own']} against {found['other']}, {len(found['rows'])} tensors on "
                                              f"{found['samples']} samples; none of it is an NPU figure.", cls="small dim"),
            table(HEAD, rows(found), (2, 3, 4, 5)), *[tags.p(f"{text}.") for text in found["sentences"]]]
    if (folder / "keep.json").is_file():
        kept = files.read_json(folder / "keep.json", "keep")
        made.append(tags.p(f"Kept in float32, so that half precision holds: {', '.join(kept['keep'])}." if kept["keep"]
                           else "No operator has to stay in float32."))
    return made
