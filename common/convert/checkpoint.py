"""PyTorch checkpoints: read one safely, read a network's variant off it, fill the network, seed one, write one."""
from __future__ import annotations

import collections
import math
import pickle
import re
import warnings
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

import torch

from common.base import files
from common.base.errors import UserError

State = Mapping[str, torch.Tensor]

# Under these keys training scripts keep the weights, beside epoch numbers, optimizer state and the like.
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "state", "params_ema", "params", "model", "net",
             "network", "net_G", "netG", "generator", "G", "weights")


def load(path: files.PathLike, sha256: Optional[str] = None, size: Optional[int] = None) -> Dict[str, torch.Tensor]:
    """Read a checkpoint into `{name: tensor}` on the CPU, running no code that it may hold (`weights_only=True`).

    A wrapping dictionary (`{"state_dict": …}`) is opened, a `module.` prefix that all names share is taken off
    (DataParallel leaves it), floating-point tensors of any width become float32.

    sha256, size: if given, the file's checksum (hexadecimal) and size in bytes, checked before anything is read.

    Raises `UserError` when the file is missing, has another size or checksum, is no checkpoint, is damaged, holds
    more than tensors, or has a NaN or infinite weight.
    """
    path = files.existing_file(path, "a checkpoint")
    found_size = path.stat().st_size
    if size is not None and found_size != size:
        raise UserError(f"{path}: expected {size} bytes, found {found_size}; fetch the file again")
    if sha256 is not None:
        found = files.sha256(path)
        if found != sha256.lower():
            raise UserError(f"{path}: expected SHA-256 {sha256.lower()}, found {found}; fetch the file again")
    if found_size == 0:
        raise UserError(f"{path}: is empty (0 bytes); expected a PyTorch checkpoint")
    return _state(path, _read(path))


def _read(path: Path) -> Any:
    with open(path, "rb") as file:
        magic = file.read(2)
    try:
        with warnings.catch_warnings():  # an error is one line, whatever torch has to say beside it
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises is not settled: RuntimeError, KeyError, even OSError, …
        foreign = re.search(r"GLOBAL ([\w.]+)", str(error))
        if "TorchScript" in str(error):
            reason = "is a TorchScript archive; expected a checkpoint of tensors (torch.save of a state_dict)"
        elif isinstance(error, pickle.UnpicklingError) and (foreign or magic in (b"PK", b"\x80\x04", b"\x80\x05")):
            reason = (f"holds more than tensors ({foreign.group(1) if foreign else 'a pickle of another kind'}), so it "
                      "was not loaded and nothing in it was executed; if you trust its source, save its "
                      "state_dict() alone with torch.save and give that file")
        elif magic == b"PK":
            reason = "is a damaged or truncated checkpoint, or a zip file of another kind; fetch or save it again"
        else:
            reason = "is no PyTorch checkpoint, or a damaged one; expected a file written by torch.save"
        raise UserError(f"{path}: {reason}") from error


def _state(path: Path, content: Any) -> Dict[str, torch.Tensor]:
    """The tensors of a loaded file by name, checked and widened."""
    if isinstance(content, torch.Tensor) or not isinstance(content, Mapping):
        raise UserError(f"{path}: expected named tensors, found a {type(content).__name__}")
    inner: Optional[Mapping[Any, Any]] = content
    while inner is not None:
        content = inner
        inner = next((content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)), None)
    if not content:
        raise UserError(f"{path}: expected named tensors, found none")
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise UserError(f"{path}: expected named tensors, found {name!r} with a {type(value).__name__}")
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise UserError(f"{path}: {name}: expected a plain tensor, found a quantized, sparse or empty one")
    prefix = "module."
    while all(name.startswith(prefix) for name in content):
        content = {name[len(prefix):]: value for name, value in content.items()}
    state = {name: value.detach().float() if value.is_floating_point() else value.detach()
             for name, value in content.items()}
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise UserError(f"{path}: {name}: has NaN or infinite values; expected finite weights")
    return state


def width(state: State, *names: str, axis: int = 0) -> int:
    """The size along `axis` that most of the named tensors have: one of the numbers that make up a variant.

    More than one tensor is asked so that a single bad one does not decide the variant; `fit` then names that one.
    Raises `UserError` when the checkpoint has none of them.
    """
    found = [state[name].shape[axis] for name in names if name in state and state[name].dim() > axis]
    if not found:
        first = next(iter(state), "nothing")
        raise UserError(f"the checkpoint does not fit: {names[0]}: expected such a tensor, found none "
                        f"(the checkpoint starts with {first})")
    return int(collections.Counter(found).most_common(1)[0][0])


def blocks(state: State, prefix: str, suffix: str = ".") -> int:
    """How many numbered parts `<prefix>0<suffix>`, `<prefix>1<suffix>`, … there are: the highest number plus one.

    A part missing in between is counted, for `fit` to name.
    """
    pattern = re.compile(re.escape(prefix) + r"(\d{1,6})" + re.escape(suffix))
    numbers = [int(match.group(1)) for match in map(pattern.match, state) if match]
    return min(1 + max(numbers, default=-1), len(state))  # a wild number must not build an endless network


def fit(network: torch.nn.Module, state: State) -> torch.nn.Module:
    """Fill `network` with the tensors of `state` (copied, as float32) and set it to evaluation mode.

    Strict: every parameter and buffer must be there with its shape, and nothing else. Only BatchNorm's
    `num_batches_tracked`, which evaluation does not use and PyTorch before 0.4.1 did not write, may be absent.
    The network may have been built on the meta device, which saves the time and memory of an initialization.

    Raises `UserError` that names the first tensor that is off, in the network's own order, with its expected and
    found shape; tensors that the network does not have come after all others.
    """
    expected = network.state_dict()
    filled = {}
    for name, target in expected.items():
        value = state.get(name)
        if value is None and name.endswith("num_batches_tracked"):
            value = torch.zeros((), dtype=target.dtype)
        if value is None or value.shape != target.shape:
            raise _off(network, name, list(target.shape), "no such tensor" if value is None else list(value.shape))
        if value.is_floating_point() != target.is_floating_point():
            raise _off(network, name, f"{list(target.shape)} of {target.dtype}", f"one of {value.dtype}")
        filled[name] = value.detach().to(device="cpu", dtype=target.dtype, copy=True)
    for name, value in state.items():
        if name not in expected:
            raise _off(network, name, "no such tensor", list(value.shape))
    network.load_state_dict(filled, strict=True, assign=True)
    return network.eval()


def _off(network: torch.nn.Module, name: str, expected: object, found: object) -> UserError:
    return UserError(f"the checkpoint does not fit {type(network).__name__}: {name}: "
                     f"expected {expected}, found {found}")


@torch.no_grad()
def randomize(network: torch.nn.Module, seed: int, *example: torch.Tensor) -> torch.nn.Module:
    """Give `network` seeded weights under which values neither vanish nor explode, and set it to evaluation mode.

    Weights are normal with variance 2 / inputs (He et al., arXiv 1502.01852), biases and BatchNorm's shift normal with
    standard deviation 0.1, its scale 1. BatchNorm's statistics are those of one pass over `example`, the network's
    inputs; without it they stay 0 and 1.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    scales = {id(norm.weight) for norm in norms}
    for parameter in network.parameters():
        if id(parameter) in scales:
            parameter.fill_(1)
        elif parameter.dim() > 1:  # of a transposed convolution this counts the outputs, near enough for its purpose
            parameter.normal_(0, math.sqrt(2 / parameter[0].numel()), generator=generator)
        else:
            parameter.normal_(0, 0.1, generator=generator)
    if example and norms:
        for norm in norms:
            norm.momentum = 1.0
        network.train()(*example)
        for norm in norms:
            norm.momentum = 0.1
    return network.eval()


def save(source: Union[torch.nn.Module, State], path: files.PathLike) -> None:
    """Write a network's state_dict, or a dictionary of named tensors, atomically; `load` reads it back."""
    state = source.state_dict() if isinstance(source, torch.nn.Module) else source
    # A clone, because torch.save writes the whole storage behind a view.
    state = {name: value.detach().cpu().clone() for name, value in state.items()}
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # what torch's own writer raises when a write comes up short
            raise UserError(f"{path}: cannot be written whole; is the disk full?") from error
