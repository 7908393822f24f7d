"""Nominal peaks of chips, and the share of them that a throughput is: what a figure cannot go beyond.

A peak is what a public page gives for dense half precision (float16 in, whatever the sum); a share is of that, in whatever
precision the figure was taken. A processor without a page here has no share: nothing is guessed.
"""
from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Sequence

from common.base import facts
from common.engines import engine
from common.judge import reports


class Peak(NamedTuple):
    """Nominal peak of one chip. tflops: 10^12 operations a second in half precision, a multiply-accumulate being two."""

    tflops: float
    page: str
    says: str
    """What stands on the page."""


_ATLAS_DUO = ("https://support.huawei.com/enterprise/en/doc/EDOC1100285916/181ae99a/specifications",
              "Atlas 300I Duo, two chips: 280 TOPS int8, 140 TFLOPS half precision")
_910B = "https://github.com/wangcansunking/ai-daily"
PEAKS: Dict[str, Peak] = {
    "310": Peak(8, "http://www.hisilicon.com/en/Media-Center/News/Key-Information-About-the-Huawei-Ascend310",
                "16 TOPS int8, 8 TOPS half precision in typical configuration"),
    "310P": Peak(70, *_ATLAS_DUO),  # the family: this is the fastest of it
    "310P3": Peak(70, *_ATLAS_DUO),
    "910": Peak(256, "https://www.golem.de/news/ascend-910-310-huawei-ai-chip-soll-google-und-nvidia-schlagen-1810-137047.html",
                "512 TOPS int8, 256 TFLOPS"),
    "910B1": Peak(414, _910B, "828 TOPS int8, 414 TFLOPS half precision"),
    "910B2": Peak(376, _910B, "752 TOPS int8, 376 TFLOPS half precision"),
    "910B3": Peak(313, _910B, "626 TOPS int8, 313 TFLOPS half precision"),
    "910B4": Peak(280, _910B, "560 TOPS int8, 280 TFLOPS half precision"),
    "T4": Peak(65, "https://www.clubic.com/carte-graphique/carte-graphique-nvidia/actualite-845412-nvidia-tesla-t4-gpu-turing.html",
               "130 TOPS int8, 65 TFLOPS half precision, 8.1 TFLOPS float32"),
    "H100": Peak(989.4, "https://glennklockwood.com/garden/processors/h100", "SXM5: 989.4 TFLOPS half precision, dense"),
}
"""By the chip's name. 310B, and 910B without its number, are not here: no page with their figure was found."""


def find(device: str) -> Optional[str]:
    """The chip of `PEAKS` that a device's name tells: `310 autotuned`, `Ascend310P3`, `Tesla T4`, `NVIDIA H100 80GB HBM3`."""
    words = re.findall(r"[A-Za-z0-9]+", device)
    return next((name for name in (word[6:] if word.startswith("Ascend") else word for word in words) if name in PEAKS), None)


def share(what: str, device: str, chips: int, samples_per_s: float, macs: int) -> Optional[Dict[str, Any]]:
    """An entry of the report's shares, None where the device's peak is not known. macs: multiply-accumulates of a sample."""
    chip = find(device)
    if chip is None:
        return None
    return {"what": what, "chip": chip, "chips": chips, "samples_per_s": samples_per_s, "macs": macs,
            "peak_tflops": PEAKS[chip].tflops * chips, "page": PEAKS[chip].page,
            "share": reports.fraction(samples_per_s, macs, PEAKS[chip].tflops * chips)}


def label(entry: Mapping[str, Any]) -> str:
    """What a share of a reference figure is called, from `facts.Reference`'s fields."""
    return f"{entry['device']}, reference" + (f", batch {entry['batch']}" if entry["batch"] else "")


def reference(entry: facts.Reference, cost: Optional[Mapping[str, Any]]) -> Optional[Dict[str, Any]]:
    """The share of a reference figure. cost: the facts' own.

    None for what is no throughput, and where chip or cost are not known."""
    if entry.quantity != "throughput" or not cost:
        return None
    return share(label(vars(entry)), entry.device, entry.devices, entry.value * entry.times, cost["macs"])


def shares(model: facts.Facts, runs: Sequence[Mapping[str, Any]], costs: Sequence[Mapping[str, Any]]) -> List[Dict[str, Any]]:
    """The shares of what was measured, `report["performance"]`, then of the reference figures.

    A run counts where its model's cost is there and where it was not on the CPU."""
    macs = {one["model_sha256"]: one["macs"] for one in costs}
    found = []
    for run in runs:
        on_cpu = run["backend"] == "openvino" or run["provider"].startswith(engine.PROVIDERS["cpu"][0])
        if run["model_sha256"] in macs and not on_cpu:
            found.append(share(f"{run['model']}, batch {run['batch']}, {run['device']}", run["device"],
                               len(run.get("devices", [0])), run["samples_per_s"], macs[run["model_sha256"]]))
    found += [reference(entry, model.cost) for entry in model.references]
    return [one for one in found if one]


def above(found: Sequence[Mapping[str, Any]]) -> List[str]:
    """A line for each figure that is above its chip's peak."""
    return [f"{one['what']}: {one['samples_per_s']:.6g} samples/s of {one['macs'] / 1e9:.4g} GMAC are "
            f"{one['share'] * one['peak_tflops']:.4g} TFLOPS, {100 * one['share']:.0f} % of the nominal peak of "
            f"{one['chips']} x {one['chip']}, {one['peak_tflops']:g}: the figure, its batch or its number of chips is wrong"
            for one in found if one["share"] > reports.ABOVE]


def told(one: Mapping[str, Any]) -> str:
    """A share in words: `35 % of 70 TFLOPS`."""
    return f"{100 * one['share']:.3g} % of {one['peak_tflops']:g} TFLOPS"
