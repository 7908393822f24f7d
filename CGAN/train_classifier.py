#!/usr/bin/env python3
"""Train the digit classifier on MNIST's test set (t10k): 8,500 digits to learn from, 1,500 held out to measure with.

On one machine and version of PyTorch the same seed gives the same file. It took 1 minute on one CPU core.
"""
from __future__ import annotations

import argparse
import gzip
import math
import zlib
from pathlib import Path
from typing import Optional, Sequence, Tuple

import numpy as np

import digit_classifier
from common.base import errors, files, settings
from common.base.errors import UserError
from common.base.progress import progress

HELD_OUT = 1500
EPOCHS, BATCH, RATE = 30, 50, 2e-3


def read_idx(folder: Path, name: str) -> np.ndarray:
    """An MNIST file, `<name>` or `<name>.gz`: uint8, of the shape that its header gives."""
    path = next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)
    if path is None:
        raise UserError(f"{folder}: expected MNIST's {name} or {name}.gz there, found neither")
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be unpacked ({error}); fetch it again") from error
    rank = content[3] if content[:3] == b"\0\0\x08" else 0
    shape = [int(size) for size in np.frombuffer(content[4:4 + 4 * rank], ">u4")]
    if not rank or len(shape) != rank or len(content) != 4 + 4 * rank + math.prod(shape):
        raise UserError(f"{path}: is not MNIST's IDX format, or is cut off ({len(content)} bytes unpacked)")
    return np.frombuffer(content, np.uint8, offset=4 + 4 * rank).reshape(shape)


def read_mnist(folder: files.PathLike) -> Tuple[np.ndarray, np.ndarray]:
    """MNIST's test set: pictures float32 [10000, 28, 28] in 0..1, digits int64 [10000]."""
    folder = files.existing_folder(folder, "MNIST's t10k files")
    pictures, digits = read_idx(folder, "t10k-images-idx3-ubyte"), read_idx(folder, "t10k-labels-idx1-ubyte")
    if pictures.shape[1:] != (28, 28) or digits.shape != pictures.shape[:1] or len(digits) <= HELD_OUT:
        raise UserError(f"{folder}: expected more than {HELD_OUT} pictures of 28x28 and a label for each, found "
                        f"{list(pictures.shape)} and {list(digits.shape)}")
    return pictures.astype(np.float32) / 255, digits.astype(np.int64)


def train(pictures: np.ndarray, digits: np.ndarray, seed: int, epochs: int) -> dict:
    """Fit the network to pictures that are turned, scaled and shifted at random; gives its weights by name."""
    import torch
    from torch import nn
    from torch.nn import functional
    torch.set_num_threads(1)  # sums do not then depend on the number of cores
    torch.manual_seed(seed)
    shapes = digit_classifier.SHAPES
    network = nn.ModuleDict({name: nn.Conv2d(shapes[f"{name}.weight"][1], shapes[f"{name}.weight"][0], 5)
                             for name in ("conv1", "conv2")})
    network["linear"] = nn.Linear(*shapes["linear.weight"][::-1])
    x, y = torch.from_numpy(pictures)[:, None], torch.from_numpy(digits)
    optimizer = torch.optim.Adam(network.parameters(), RATE)
    plan = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in progress(range(epochs), "train", unit="epoch"):
        for chosen in torch.randperm(len(x)).split(BATCH):
            angle = (torch.rand(len(chosen)) - 0.5) * 0.5  # at most 14 degrees
            scale = 0.85 + 0.3 * torch.rand(len(chosen))
            move = torch.zeros(len(chosen), 2, 3)
            move[:, 0, 0] = move[:, 1, 1] = angle.cos() / scale
            move[:, 1, 0] = angle.sin() / scale
            move[:, 0, 1] = -move[:, 1, 0]
            move[:, :, 2] = (torch.rand(len(chosen), 2) - 0.5) * 0.3  # at most 2 pixels
            batch = functional.grid_sample(x[chosen], functional.affine_grid(move, [len(chosen), 1, 28, 28], False),
                                           align_corners=False)
            for layer in ("conv1", "conv2"):
                batch = functional.max_pool2d(functional.relu(network[layer](batch)), 2)
            loss = functional.cross_entropy(network["linear"](functional.dropout(batch.flatten(1), 0.3)), y[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        plan.step()
    return {name: value.numpy() for name, value in network.state_dict().items()}


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=errors.first_line(__doc__))
    parser.add_argument("--mnist", required=True, metavar="DIR", help="folder with MNIST's t10k images and labels, "
                        "packed (.gz) or not")
    parser.add_argument("--output", required=True, metavar="NPZ", help="file to write")
    parser.add_argument("--seed", type=settings.whole(0), default=0, help="of split, start and order (default: %(default)s)")
    parser.add_argument("--epochs", type=settings.positive, default=EPOCHS, help="default: %(default)s")
    args = parser.parse_args(argv)
    pictures, digits = read_mnist(args.mnist)
    order = np.random.default_rng(args.seed).permutation(len(digits))
    learn, held = order[HELD_OUT:], order[:HELD_OUT]
    weights = train(pictures[learn], digits[learn], args.seed, args.epochs)
    rounded = {name: value.astype(np.float16).astype(np.float32) for name, value in weights.items()}
    right = int((digit_classifier.read(rounded, pictures[held]) == digits[held]).sum())
    digit_classifier.save(args.output, weights, {
        "trained_on": f"{len(learn)} digits of MNIST's test set (t10k)", "seed": args.seed, "epochs": args.epochs,
        "held_out": len(held), "held_out_right": right, "held_out_accuracy": right / len(held)})
    print(f"{args.output}: {Path(args.output).stat().st_size} bytes, reads {right} of the {len(held)} held-out digits, "
          f"{100 * right / len(held):.2f} %")


if __name__ == "__main__":
    errors.run(main)
