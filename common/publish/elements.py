"""What every section of the page is made of: numbers for people, verdicts, tables."""
from __future__ import annotations

import math
from typing import Any, Optional, Sequence


def number(value: Optional[float], digits: int = 4) -> str:
    """A number for people: significant digits, no exponent within reason, "-" for None."""
    if value is None:
        return "-"
    if value and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.{digits - 1}e}"
    decimals = 0 if abs(value) >= 10 ** (digits - 1) else max(0, digits - 1 - math.floor(math.log10(abs(value) or 1)))
    return f"{value:,.{decimals}f}".replace(",", "\u202f")


def with_unit(value: Optional[float], unit: str, digits: int = 4) -> str:
    return f"{number(value, digits)} {unit}".strip()


def badge(verdict: str) -> Any:
    from dominate import tags
    return tags.span({"none": "no verdict"}.get(verdict, verdict), cls=f"badge {verdict}")


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], numbers: Sequence[int] = ()) -> Any:
    """A table that becomes a stack of cards on a narrow page. numbers: the columns that are aligned to the right."""
    from dominate import tags
    body = tags.tbody()
    for row in rows:
        line = tags.tr()
        for place, cell in enumerate(row):
            kinds = [name for name, wanted in (("number", place in numbers), ("first", place == 0)) if wanted]
            made = tags.td(cell, cls=" ".join(kinds)) if kinds else tags.td(cell)
            made["data-label"] = head[place]
            line.add(made)
        body.add(line)
    top = [tags.th(text, cls="number") if place in numbers else tags.th(text) for place, text in enumerate(head)]
    return tags.table(tags.thead(tags.tr(*top)), body, cls="stack")
