"""The module with a model's network, found by its facts."""
from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Dict, Mapping

from common.base import facts, files
from common.base.errors import UserError


def network_module(folder: files.PathLike) -> ModuleType:
    """The module with the model's network, as its facts name it: it has `from_state(state)` and `seeded(seed)`.

    It may have `for_input(network, dtype)`, which gives the network that takes samples of that dtype, and `UNTOLD`, the
    options of `from_state` that stand in no tensor, with their types.
    """
    name = facts.load(folder).network
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UserError(f"{folder}: the network {name}.py cannot be imported from here; source the model's env.sh, or "
                        "run this in its folder") from error


def options(module: ModuleType, told: Mapping[str, str]) -> Dict[str, Any]:
    """What `from_state` must be told beside the tensors, from a model's metadata. Raises `UserError` for a wrong value."""
    chosen = {}
    for name, kind in getattr(module, "UNTOLD", {}).items():
        if name in told:
            try:
                chosen[name] = kind(told[name])
            except ValueError as error:
                raise UserError(f"the model's metadata: {name}: expected a number, found {told[name]!r:.80}") from error
    return chosen
