"""Engines that are loaded in one process and take turns, so that what else the machine does falls on all alike."""
from __future__ import annotations

import time
from typing import Any, Dict, List, Mapping, Optional, Sequence

from common.engines.engine import Engine

PAUSE = 0.1
"""Seconds after one of ONNX Runtime: its threads may spin that long after a run, and would take the cores of the next."""
LONG = 1e3
"""Milliseconds of a run that is timed though another's came before it; a shorter one is timed when run again."""


def noise(session: Engine, shapes: Sequence[Sequence[int]]) -> List[Any]:
    """Seeded values in 0..1 as the network's inputs, in their dtypes."""
    import numpy as np
    generator = np.random.default_rng(0)
    return [generator.random(shape).astype(tensor.dtype) for shape, tensor in zip(shapes, session.inputs)]


def take_turns(sessions: Mapping[str, Engine], arrays: Sequence[Any], rounds: int,
               until: Optional[float] = None) -> Dict[str, List[float]]:
    """Milliseconds of device compute of `rounds` runs of each on the same inputs.

    until: a time of `time.monotonic()` at which no further round begins; the first always does.
    """
    times: Dict[str, List[float]] = {name: [] for name in sessions}
    for turn in range(rounds):
        if turn and until is not None and time.monotonic() > until:
            break
        for name, session in sessions.items():
            session.run(arrays)
            if session.timing.compute < LONG:  # the caches held what the one before left
                session.run(arrays)
            times[name].append(session.timing.compute)
            if session.backend == "onnxruntime":
                time.sleep(PAUSE)
    return times
