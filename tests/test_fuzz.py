"""The readers of pictures, lists, logs, JSON and checkpoints on twisted files: read, or refused as a `UserError`; bounded."""
from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest
import torch

from common.base import files, pictures
from common.base.errors import UserError
from common.convert import checkpoint
from common.tools import benchmark, perf
from test_sweep_faults import saved

READERS: Dict[str, Tuple[str, Callable[[Path], Any]]] = {
    "picture": (".png", lambda path: (pictures.read_size(path), pictures.read_rgb(path))),
    "values": (".tif", pictures.read_values), "ids": (".png", lambda path: pictures.read_ids(path, 8)),
    "log": (".txt", perf.read), "list": (".info", lambda path: benchmark.read_info(path, 1)),
    "json": (".json", lambda path: files.read_json(path, "journal")), "checkpoint": (".pth", checkpoint.load)}


def seeds(folder: Path) -> Dict[str, List[bytes]]:
    """What is right, for fuzzing to twist."""
    for name, kind in (("a.png", "PNG"), ("a.jpg", "JPEG"), ("a.tif", "TIFF"), ("a.bmp", "BMP"), ("a.webp", "WEBP")):
        saved(kind)(folder / name)
    for zipped in (False, True):
        torch.save({"a.weight": torch.ones(2, 2)}, folder / f"{zipped}.pth", _use_new_zipfile_serialization=zipped)
    images = [(folder / name).read_bytes() for name in ("a.png", "a.jpg", "a.tif", "a.bmp", "a.webp")]
    return {"picture": images, "values": images, "ids": images, "list": [b"0 in/a.bin 96 96\n1 in/b.bin 96 96\n"],
            "log": [b"[e2e] throughputRate: 10.5, latency: 95.2\n", b"Inference average time: 1.28 ms\n",
                    b"ave_throughputRate: 20.1 samples/s, ave_latency: 50\n", b"NPU_compute_time (ms): min = 1.0, max = 2.0\n"],
            "json": [b'{"recipe": {}, "samples": [{"id": "a"}]}'],
            "checkpoint": [(folder / f"{zipped}.pth").read_bytes() for zipped in (False, True)]}


@pytest.mark.full
@pytest.mark.parametrize("kind", READERS)
def test_fuzzed_files_are_read_or_refused_in_one_line(tmp_path, kind):
    from hypothesis import HealthCheck, given, settings
    from hypothesis import strategies as st
    suffix, read = READERS[kind]
    right = seeds(tmp_path)[kind]
    twist = st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 8), st.binary(max_size=8))

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
    @given(st.sampled_from(right), st.lists(twist, max_size=4), st.floats(0.5, 1))
    def reads(given_bytes, twists, kept):
        text = given_bytes
        for place, length, new in twists:
            start = int(place * len(text))
            text = text[:start] + new + text[start + length:]
        path = tmp_path / f"case{suffix}"
        path.write_bytes(text[:int(kept * len(text))])
        try:
            read(path)
        except UserError as error:
            assert str(error).startswith(str(path)) and len(str(error)) < 2000
    reads()
