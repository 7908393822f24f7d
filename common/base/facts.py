"""A model's facts, declared once in `facts.json` of its folder: tensors, tool lines, upstream, weights, references.

Scripts, Makefile, README tables and report read them from there. Nothing here imports more than the standard library.
"""
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from common.base import files, uses
from common.base.errors import UserError
from common.base.files import PathLike


@dataclass(frozen=True)
class Tensor:
    """One input or output of the network. A dimension is a number, or a name such as "N" that is free."""

    name: str
    shape: Tuple[Union[int, str], ...]
    dtype: str
    meaning: str
    range: Optional[Tuple[float, float]] = None

    def sized(self, **dimensions: int) -> Tuple[int, ...]:
        """The shape with its named dimensions filled in, e.g. `sized(N=1)`."""
        return tuple(size if isinstance(size, int) else dimensions[size] for size in self.shape)


@dataclass(frozen=True)
class Reference:
    """A figure that somebody else measured, with what it means. `device` is the chip, or "published"."""

    quantity: str
    device: str
    value: float
    unit: str
    definition: str
    batch: Optional[int] = None
    devices: int = 1
    """Chips that the figure is of together."""

    @property
    def times(self) -> int:
        """How many samples one of a throughput's unit is: what counts runs of a whole batch has as many in each."""
        return self.batch or 1 if self.unit == "runs/s" else 1


@dataclass(frozen=True)
class Floor:
    """The figure that no working model falls to, in the metric's unit.

    Where a plain method was measured on the same samples, it is that method's figure minus `below`, at most `most`.
    """

    value: float
    """The floor where no such method was measured."""
    why: str
    """Where that number is from."""
    likely: str
    """What is likely wrong with a model at the floor."""
    baseline: Optional[str] = None
    """The plain method, as accuracy.json names it."""
    below: float = 0.0
    most: Optional[float] = None


@dataclass(frozen=True)
class Metric:
    """What accuracy means for a model. `tolerance` is the relative loss that still passes (0.01 is one per cent)."""

    name: str
    unit: str
    definition: str
    tolerance: float
    samples: int
    """How many samples the published figure was taken over."""
    range: Optional[Tuple[float, float]] = None
    """The lowest and the highest value there is."""
    mean: bool = True
    """Whether the figure is the mean of the samples' own."""
    floor: Optional[Floor] = None


@dataclass(frozen=True)
class Facts:
    """All that is fixed from outside about one model."""

    name: str
    title: str
    paper: str
    network: str
    """The Python module beside `facts.json` that has `from_state(state)` and `seeded(seed)`."""
    upstream: Dict[str, Any]
    weights: Dict[str, Any]
    inputs: List[Tensor]
    outputs: List[Tensor]
    metric: Metric
    references: List[Reference]
    atc: List[str]
    """The tool lines of `test/pth2om.sh`, one per model file, `${soc}` standing for the chip's name."""
    extra: Dict[str, Any]
    """What only this model has."""
    cost: Optional[Dict[str, Any]] = None
    """What the reference network takes, at the input that its throughput is of (`common.convert.cost`)."""

    def reference(self, quantity: str, device: str, batch: Optional[int] = None) -> Reference:
        """The one reference figure asked for. Raises KeyError when the facts hold none."""
        for entry in self.references:
            if (entry.quantity, entry.device, entry.batch) == (quantity, device, batch):
                return entry
        raise KeyError(f"{self.name}: no reference for {quantity} on {device}, batch {batch}")


def load(place: PathLike) -> Facts:
    """Read the facts of the model whose folder, or any file in it (`__file__`), is given."""
    folder = Path(place) if Path(place).is_dir() else Path(place).parent
    path = folder / "facts.json"
    uses.note(path)
    if not path.exists():
        raise UserError(f"{path}: no such file; run this in a model's folder")
    raw = files.read_json(path, "facts")
    try:
        return _facts(raw)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # a copy for ModelZoo has no schema for it
        raise UserError(f"{path}: does not tell a model's facts ({error!r}); it was edited, take the folder's own") from error


def _facts(raw: Dict[str, Any]) -> Facts:
    span, floor = _span(raw["metric"]), raw["metric"].get("floor")
    return Facts(
        name=raw["name"], title=raw["title"], paper=raw["paper"], network=raw["network"],
        upstream=raw["upstream"], weights=raw["weights"],
        inputs=[_tensor(entry) for entry in raw["inputs"]],
        outputs=[_tensor(entry) for entry in raw["outputs"]],
        metric=Metric(**{**raw["metric"], "range": span, "floor": floor and Floor(**floor)}),
        references=[Reference(**entry) for entry in raw["references"]],
        atc=raw["atc"], extra=raw.get("extra", {}), cost=raw.get("cost"))


def _tensor(entry: Dict[str, Any]) -> Tensor:
    return Tensor(entry["name"], tuple(entry["shape"]), entry["dtype"], entry["meaning"], _span(entry))


def _span(entry: Dict[str, Any]) -> Optional[Tuple[float, float]]:
    span = entry.get("range")
    return None if span is None else (float(span[0]), float(span[1]))
