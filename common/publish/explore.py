"""What a page lets one explore: every sample by its metric, their histogram, classes, raw figures, and the script.

`page.js` adds zoom, slider and sorting where a browser runs it; without, all is there to be read.
"""
from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from common.base import uses
from common.publish.elements import number

BINS = 20


def _text(name: str) -> str:
    """The text of a file beside this one, which the page depends on."""
    path = Path(__file__).with_name(name)
    uses.note(path)
    return path.read_text(encoding="utf-8")


def policy(pictures: str = "data:") -> str:
    """The Content-Security-Policy: nothing from elsewhere, and of scripts page.js alone. pictures: where they may be."""
    digest = base64.b64encode(hashlib.sha256(_text("page.js").encode("utf-8")).digest()).decode()
    return f"default-src 'none'; img-src {pictures}; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"


def furnish(page: Any, pictures: str = "data:") -> None:
    """Give a dominate document its policy, style and script. Call it when the body is complete."""
    from dominate import tags
    from dominate.util import raw
    page.head.add(tags.meta(charset="utf-8"), tags.meta(http_equiv="Content-Security-Policy", content=policy(pictures)),
                  tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
                  tags.style(raw(_text("page.css"))))
    page.body.add(tags.script(raw(_text("page.js"))))


def bins(values: Sequence[float], count: int = BINS) -> List[Tuple[float, float, int]]:
    """Equal steps from the smallest to the largest value: (from, to, how many); the last one holds its end."""
    low, high = min(values), max(values)
    if low == high:
        return [(low, high, len(values))]
    step, found = (high - low) / count, [0] * count
    for value in values:
        found[min(count - 1, int((value - low) / step))] += 1
    return [(low + place * step, low + (place + 1) * step, many) for place, many in enumerate(found)]


def histogram(metric: Mapping[str, Any], values: Sequence[float]) -> Any:
    """How the samples spread over the metric."""
    from dominate import svg, tags
    steps = bins(values)
    most, width = max(many for _, _, many in steps), 100 / len(steps)
    drawn = svg.svg(cls="histogram here", role="img", preserveAspectRatio="none")
    said = ", ".join(f"{many} from {number(low)} to {number(high)}" for low, high, many in steps if many)
    drawn["aria-label"] = f"{metric['metric']} of {len(values)} samples: {said}"
    for place, (low, high, many) in enumerate(steps):
        if many:
            bar = svg.rect(svg.title(f"{number(low)} to {number(high)}: {many}"), cls="mark")
            bar["x"], bar["width"] = f"{place * width + 0.15 * width:.2f}%", f"{0.7 * width:.2f}%"
            bar["y"], bar["height"] = f"{100 - 100 * many / most:.2f}%", f"{100 * many / most:.2f}%"
            drawn.add(bar)
    unit = f" {metric['unit']}" if metric["unit"] else ""
    return tags.figure(drawn, tags.div(tags.span(f"{number(steps[0][0])}{unit}"), tags.span(
        f"{number(steps[-1][1])}{unit}"), cls="ends"), tags.figcaption(
            f"{metric['metric']} of {len(values)} samples; the tallest bar is {most}."))


class Beside(NamedTuple):
    """Thumbnails that lie beside the page. places: by sample, relative to the page; labels: of what they show, in order;
    left_out: how many samples, the best, have none."""

    places: Mapping[str, str]
    labels: Sequence[str]
    left_out: int


def samples(metric: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], shown: Mapping[str, str],
            beside: Optional[Beside] = None) -> Any:
    """Every sample with its value, worst first, as a table that is unfolded. shown: where a sample's pictures are, `#id`.

    beside: the pictures of those that are not among `shown`. They are links; `page.js` shows them in their place.
    """
    from dominate import tags
    head = f"{metric['metric']}{', ' if metric['unit'] else ''}{metric['unit']}"
    body = tags.tbody()
    for row in rows:
        cell = tags.td(number(row["value"]), cls="number")
        cell["data-value"] = repr(row["value"])
        name = row["sample"]
        if name in shown:
            name = tags.a(name, href=shown[name])
        elif beside and name in beside.places:
            name = tags.a(name, href=beside.places[name], cls="beside")
        body.add(tags.tr(tags.td(name), cell))
    whole = tags.table(tags.thead(tags.tr(tags.th("sample"), tags.th(head, cls="number"))), body, cls="samples")
    scroll = tags.div(whole, cls="scroll", tabindex="0", role="region")
    scroll["aria-label"] = "all samples"
    notes = ["A name that is a link leads to the sample's pictures."] if shown or beside else []
    if beside:
        whole["data-labels"] = " → ".join(beside.labels)
        notes.append(f"Those that are not on this page ({whole['data-labels']}) lie beside it, in the folder thumbnails: move "
                     "the two together.")
        if beside.left_out:
            notes.append(f"Without any: the {beside.left_out} best.")
    return tags.details(tags.summary(f"All {len(rows)} samples, worst first"), scroll, *(
        [tags.p(" ".join(notes), cls="small dim")] if notes else []))


def classes(entries: Sequence[Mapping[str, Any]]) -> Any:
    """A bar for each class, `{"name", "value", "colour"}`, value in per cent or None."""
    from dominate import tags
    grid = tags.div(cls="classes")
    for entry in entries:
        value = entry["value"]
        grid.add(tags.span(tags.span(cls="swatch", style=f"background:{entry['colour']}"), entry["name"]),
                 tags.div(tags.div(style=f"width:{value or 0:.1f}%"), cls="track"),
                 tags.span("not there" if value is None else f"{number(value)} %", cls="number"))
    return tags.figure(grid, tags.figcaption("IoU of each class over all samples."))


def downloads(name: str, report: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> Any:
    """The raw figures, inside the page: the samples as CSV, everything as JSON."""
    from dominate import tags
    lines = ["sample,value", *('"{}",{!r}'.format(row["sample"].replace('"', '""'), row["value"]) for row in rows)]

    def link(kind: str, ending: str, text: str) -> Any:
        content = base64.b64encode(text.encode("utf-8")).decode()
        return tags.a(ending.upper(), href=f"data:{kind};charset=utf-8;base64,{content}", download=f"{name}.{ending}")

    whole = json.dumps({**report, "rows": list(rows)}, ensure_ascii=False)
    return tags.p("Raw figures: ", link("text/csv", "csv", "\n".join(lines) + "\n"), " of the samples, ",
                  link("application/json", "json", whole), " of the whole report.", cls="small")
