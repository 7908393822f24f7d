"""What the training scripts of the demo weights share: the loop, and how the result is stored and described.

The networks are small and the CPU is enough: bfloat16 where it costs no accuracy (convolutions; weights, loss and
optimizer stay float32), channels last, AdamW under one cosine cycle, and the mean of the last weights.
"""
from __future__ import annotations

import argparse
import copy
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Sequence, Tuple

from common.base import files, settings
from common.base.errors import UserError
from common.publish import provenance

if TYPE_CHECKING:
    import torch

KEEP = 0.998
"""Share of the running mean of the weights that a step keeps."""


def parser(description: str, steps: int) -> argparse.ArgumentParser:
    """The options that every training script has."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--output", default="demo.pth", help="checkpoint to write; what made it stands beside it, as "
                                                           ".json (default: %(default)s)")
    made.add_argument("--steps", type=settings.positive, default=steps, help="default: %(default)s")
    made.add_argument("--seed", type=settings.whole(0), default=0, help="of data, start and order (default: %(default)s)")
    return made


def add_streets(made: argparse.ArgumentParser) -> None:
    """The options of those that train on drawn streets (`common.data.demo.streets.training`)."""
    made.add_argument("--streets", default="streets", metavar="DIR", help="where drawn streets are kept")
    made.add_argument("--count", type=settings.positive, default=120, help="how many to draw (default: %(default)s)")


def batch(samples: "Sequence[torch.Tensor]") -> "torch.Tensor":
    """[C, H, W] each to [N, C, H, W], channels last in memory, which is the faster layout on a CPU."""
    import torch
    return torch.stack(list(samples)).contiguous(memory_format=torch.channels_last)


def run(network: "torch.nn.Module", loss: "Callable[[torch.nn.Module, int], torch.Tensor]", steps: int, rate: float,
        decay: float = 1e-4, betas: Tuple[float, float] = (0.9, 0.999)) -> "torch.nn.Module":
    """Train `network` and give back the running mean of its weights over the last steps, in evaluation mode.

    loss: of the network and the step's number, which starts at 0. rate: the highest learning rate; it rises over the
    first tenth of the steps and falls to nearly 0. decay, betas: AdamW's. Raises `UserError` for a loss that is no
    number.
    """
    import torch
    from tqdm import trange
    network = network.train().to(memory_format=torch.channels_last)
    mean = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), rate, betas, weight_decay=decay)
    plan = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1, cycle_momentum=False)
    shown = trange(steps, desc="train", unit="step", mininterval=5)
    for step in shown:
        with torch.autocast("cpu", torch.bfloat16):
            value = loss(network, step)
        if not bool(torch.isfinite(value)):
            raise UserError(f"training: the loss is {float(value.detach())} at step {step}; give another --seed")
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        plan.step()
        follow(mean, network, min(KEEP, step / (step + 10)))
        if step % 20 == 0:
            shown.set_postfix(loss=f"{float(value.detach()):.4f}", refresh=False)
    return mean.eval()


def follow(mean: "torch.nn.Module", network: "torch.nn.Module", keep: float) -> None:
    """Move `mean` towards `network`: keep of it stays. BatchNorm's statistics are averaged alike, counters copied."""
    for ours, theirs in zip(mean.state_dict().values(), network.state_dict().values()):  # detached from gradients
        if ours.is_floating_point():
            ours.lerp_(theirs, 1 - keep)
        else:
            ours.copy_(theirs)


def store(network: "torch.nn.Module", path: files.PathLike, trained_on: str, args: argparse.Namespace,
          started: float) -> None:
    """Write the weights as float16, and `<stem>.json` beside them: data, command, seconds and machine.

    started: `time.time()` when the script started. Raises `UserError` for a weight beyond float16's range.
    """
    import torch

    from common.convert import checkpoint
    state = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
    for name, value in state.items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            raise UserError(f"{path}: {name} has a value beyond 65504, float16's largest")
    checkpoint.save(state, path)
    path = Path(path)
    command = " ".join(["python3", *(shlex.quote(Path(part).name) for part in sys.argv)])  # without the machine's paths
    about: Dict[str, Any] = {
        "trained_on": trained_on, "steps": args.steps, "seed": args.seed, "command": command,
        "seconds": round(time.time() - started), "machine": provenance.machine(torch.get_num_threads()),
        "torch": torch.__version__, **provenance.file_entry(path, path.name)}
    about["machine"].pop("chips")
    files.write_json(path.with_suffix(".json"), about)
    print(f"{path}: {files.size(about['bytes'])}, {args.steps} steps in {about['seconds'] / 60:.0f} minutes")
