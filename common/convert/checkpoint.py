"""PyTorch checkpoints: read one safely, read a network's variant off it, fill the network, seed one, write one."""
from __future__ import annotations

import collections
import math
import pickle
import re
import reprlib
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Union

import torch

from common.base import files
from common.base.errors import UserError

State = Mapping[str, "torch.Tensor"]

# Under these keys training scripts keep the weights, beside epoch numbers, optimizer state and the like.
_WRAPPERS = ("state_dict", "model_state_dict", "model_state", "state", "params_ema", "params", "model", "net",
             "network", "net_G", "netG", "generator", "G", "weights")
_NESTED = 8
"""Wrappers within wrappers that are opened; a checkpoint with more holds itself."""
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "generator.")
"""What DataParallel, torch.compile, Lightning and wrapping classes put before every name."""
_SLACK, _VIEWS = 1 << 20, 8
"""Bytes that a tensor may have beyond the file's, and how often all tensors together may be of the file's size:
tensors may share what is stored, or repeat a value with stride 0, and a giant of a few stored bytes fills memory."""


UNTRAINED = "untrained"
"""The mark of weights that were never trained: an entry of the state_dict's own metadata, which PyTorch keeps in the file and
load_state_dict ignores. What is trained from them has a state_dict of its own, without it."""
_SCRIPT = "is a TorchScript archive; expected a checkpoint of tensors (torch.save of a state_dict)"


class Loaded(Dict[str, "torch.Tensor"]):
    """Tensors by name, as `load` gives them; `source` is the file, for messages, `untrained` whether it has the mark."""

    source: Optional[Path] = None
    untrained: bool = False


def load(path: files.PathLike, sha256: Optional[str] = None, size: Optional[int] = None) -> Loaded:
    """Read a checkpoint into `{name: tensor}` on the CPU, running no code that it may hold (`weights_only=True`).

    Wrapping dictionaries (`{"state_dict": …}`) are opened, prefixes that all names share (`module.`, `_orig_mod.`,
    `model.`, `net.`, `generator.`) are taken off, floating-point tensors of any width become float32. The mark that `save`
    gives weights that were never trained is read back.

    sha256, size: if given, the file's checksum (hexadecimal) and size in bytes, checked before anything is read.

    Raises `UserError` when the file is missing, has another size or checksum, is no checkpoint, is damaged, holds
    more than tensors or tensors far larger than itself, has a NaN or infinite weight, or no weight other than 0.
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
    if magic == b"PK":
        with suppress(zipfile.BadZipFile, OSError, ValueError, NotImplementedError):  # torch.load says what is wrong
            entries = zipfile.ZipFile(path).infolist()
            if any(entry.filename.endswith("/constants.pkl") for entry in entries):  # torch before 2.6 would load its code
                raise UserError(f"{path}: {_SCRIPT}")
            unpacked = sum(entry.file_size for entry in entries)
            if unpacked > path.stat().st_size:  # torch.save never compresses
                raise UserError(f"{path}: is {files.size(path.stat().st_size)} that unpack to {files.size(unpacked)}; "
                                "expected a checkpoint as torch.save writes it, without compression")
    try:
        with warnings.catch_warnings():  # an error is one line, whatever torch has to say beside it
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged file raises is not settled: RuntimeError, KeyError, even OSError, …
        foreign = re.search(r"(?:GLOBAL|Unsupported class) ([\w.]+)", str(error))
        if "TorchScript" in str(error):
            reason = _SCRIPT
        elif isinstance(error, pickle.UnpicklingError) and (foreign or magic in (b"PK", b"\x80\x04", b"\x80\x05")):
            reason = (f"holds more than tensors ({foreign.group(1) if foreign else 'a pickle of another kind'}), so it "
                      "was not loaded and nothing in it was executed; if you trust its source, save its "
                      "state_dict() alone with torch.save and give that file")
        elif magic == b"PK":
            reason = "is a damaged or truncated checkpoint, or a zip file of another kind; fetch or save it again"
        else:
            reason = "is no PyTorch checkpoint, or a damaged one; expected a file written by torch.save"
        raise UserError(f"{path}: {reason}") from error


def _state(path: Path, content: Any) -> Loaded:
    """The tensors of a loaded file by name, checked and widened."""
    if isinstance(content, torch.Tensor) or not isinstance(content, Mapping):
        raise UserError(f"{path}: expected named tensors, found a {type(content).__name__}")
    content = _unwrapped(path, content)
    if not content:
        raise UserError(f"{path}: expected named tensors, found none")
    stored, total = path.stat().st_size + _SLACK, 0
    for name, value in content.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise UserError(f"{path}: expected named tensors, found {reprlib.repr(name)} with a {type(value).__name__}")
        if value.layout != torch.strided or value.is_quantized or value.device.type != "cpu":
            raise UserError(f"{path}: {name}: expected a plain tensor, found a quantized, sparse or empty one")
        bytes_of = value.numel() * value.element_size()
        total += bytes_of
        if bytes_of > stored or total > _VIEWS * stored:
            raise UserError(f"{path}: {name}: is a {list(value.shape)} of {files.size(bytes_of)}"
                            f"{'' if bytes_of > stored else f', {files.size(total)} with those before it'}, the whole "
                            f"file has {files.size(path.stat().st_size)}; its values are repeated, not stored: save "
                            "contiguous tensors (value.clone())")
    state = Loaded((name, value.detach().float() if value.is_floating_point() else value.detach())
                   for name, value in _without_prefixes(content).items())
    state.source, state.untrained = path, _marked(content)
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise UserError(f"{path}: {name}: has NaN or infinite values; expected finite weights")
    floats = {name: value for name, value in state.items() if value.is_floating_point() and value.numel()}
    weights = {name: value for name, value in floats.items() if value.dim() > 1} or floats
    if weights and not any(bool(value.any()) for value in weights.values()):
        raise UserError(f"{path}: {next(iter(weights))}: every value is 0, as in all {len(weights)} weights; "
                        "the checkpoint was never filled, save it again after training")
    return state


def _unwrapped(path: Path, content: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """The dictionary of tensors within its wrappers: those of known names, or the only one that there is."""
    opened = []
    while True:
        inner = [key for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner and not any(isinstance(value, torch.Tensor) for value in content.values()):
            others = [key for key, value in content.items() if isinstance(value, Mapping) and value and all(
                isinstance(name, str) and isinstance(each, torch.Tensor) for name, each in value.items())]
            inner = others if len(others) == 1 else []
        if not inner:
            return content
        # an empty "state" beside full "params" is not the weights
        key = next((key for key in inner if any(isinstance(value, torch.Tensor) for value in content[key].values())),
                   inner[0])
        opened.append(key)
        if len(opened) > _NESTED:
            raise UserError(f"{path}: {' / '.join(map(reprlib.repr, opened[:3]))} / ...: expected named tensors, found "
                            "dictionaries within dictionaries; save the state_dict() alone")
        content = content[key]


def _marked(content: Mapping[Any, Any]) -> bool:
    metadata = getattr(content, "_metadata", None)  # whatever the file says
    own = metadata.get("") if isinstance(metadata, Mapping) else None
    return isinstance(own, Mapping) and own.get(UNTRAINED) is True


def _without_prefixes(content: Mapping[str, torch.Tensor]) -> Mapping[str, torch.Tensor]:
    """The tensors by the names that they have without the prefixes that all of them share."""
    while True:
        prefix = next((prefix for prefix in _PREFIXES if all(name.startswith(prefix) for name in content)), None)
        if prefix is None:
            return content
        content = {name[len(prefix):]: value for name, value in content.items()}


def without_statistics(state: State) -> State:
    """The tensors without the running statistics of normalization layers, for a network that keeps none.

    PyTorch before 0.4 wrote those of InstanceNorm, which the network does not use.
    """
    kept = Loaded((name, value) for name, value in state.items()
                  if not name.endswith((".running_mean", ".running_var", ".num_batches_tracked")))
    kept.source, kept.untrained = getattr(state, "source", None), getattr(state, "untrained", False)
    return kept


def mark_untrained(network: torch.nn.Module) -> torch.nn.Module:
    """Note on `network` that its weights were never trained: `save` writes the mark, the export keeps it."""
    network.untrained = True
    return network


def untrained(network: torch.nn.Module) -> bool:
    """Whether the network, or one within it, has the mark."""
    return any(getattr(module, "untrained", False) is True for module in network.modules())


def width(state: State, *names: str, axis: int = 0) -> int:
    """The size along `axis` that most of the named tensors have: one of the numbers that make up a variant.

    More than one tensor is asked so that a single bad one does not decide the variant; `fit` then names that one.
    Raises `UserError` when the checkpoint has none of them, or none with such a size.
    """
    there = [name for name in names if name in state]
    found = [state[name].shape[axis] for name in there if state[name].dim() > axis and state[name].shape[axis]]
    if there and not found:
        raise misfit(state, there[0], f"a size along dimension {axis + 1}", list(state[there[0]].shape))
    if not found:
        first = next(iter(state), "nothing")
        raise misfit(state, names[0], "such a tensor", f"none (the checkpoint starts with {first})")
    return int(collections.Counter(found).most_common(1)[0][0])


def misfit(state: State, name: str, expected: object, found: object, network: str = "") -> UserError:
    """What is wrong with a checkpoint in one line: its file, the first tensor that is off, expected and found."""
    source = getattr(state, "source", None)
    return UserError(f"{f'{source}: ' if source else ''}the checkpoint does not fit{network and ' ' + network}: {name}: "
                     f"expected {expected}, found {found}")


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
    expected, kind = network.state_dict(), type(network).__name__
    filled = {}
    for name, target in expected.items():
        value = state.get(name)
        if value is None and name.endswith("num_batches_tracked"):
            value = torch.zeros((), dtype=target.dtype)
        if value is None or value.shape != target.shape:
            raise misfit(state, name, list(target.shape), "no such tensor" if value is None else list(value.shape), kind)
        if value.is_floating_point() != target.is_floating_point():
            raise misfit(state, name, f"{list(target.shape)} of {target.dtype}", f"one of {value.dtype}", kind)
        filled[name] = value.detach().to(device="cpu", dtype=target.dtype, copy=True)
    for name, value in state.items():
        if name not in expected:
            raise misfit(state, name, "no such tensor", list(value.shape), kind)
    network.load_state_dict(filled, strict=True, assign=True)
    return (mark_untrained(network) if getattr(state, "untrained", False) else network).eval()


def randomize(network: torch.nn.Module, seed: int, *example: torch.Tensor) -> torch.nn.Module:
    """Give `network` seeded weights under which values neither vanish nor explode, and set it to evaluation mode.

    Weights are normal with variance 2 / inputs (He et al., arXiv 1502.01852), biases and BatchNorm's shift normal with
    standard deviation 0.1, its scale 1. BatchNorm's statistics are those of one pass over `example`, the network's
    inputs; without it they stay 0 and 1. The network is marked as never trained.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in network.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
    scales = {id(norm.weight) for norm in norms}
    with torch.no_grad():  # no decorator: in a folder for ModelZoo that would have every script import torch
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
    return mark_untrained(network).eval()


def save(source: Union[torch.nn.Module, State], path: files.PathLike) -> None:
    """Write a network's state_dict, or a dictionary of named tensors, atomically; `load` reads it back.

    Weights that were never trained keep their mark: a plain state_dict still, which everything that loads one loads.
    """
    state = source.state_dict() if isinstance(source, torch.nn.Module) else source
    marked = untrained(source) if isinstance(source, torch.nn.Module) else getattr(source, "untrained", False)
    # A clone, because torch.save writes the whole storage behind a view.
    state = {name: value.detach().cpu().clone() for name, value in state.items()}
    if marked:
        state = collections.OrderedDict(state)  # a dict has no room for metadata
        vars(state)["_metadata"] = {"": {UNTRAINED: True}}
    with files.atomic(path) as temporary, open(temporary, "wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:  # what torch's own writer raises when a write comes up short
            raise UserError(f"{path}: cannot be written whole; is the disk full?") from error
