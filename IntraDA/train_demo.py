#!/usr/bin/env python3
"""Train demo.pth, a narrow DeepLabV2, on drawn streets, other ones than the demo's.

A street takes about two seconds to draw; they are kept in --streets for the next time.
"""
from __future__ import annotations

import time
from typing import List, Optional, Sequence, Tuple

import numpy as np

import intrada_preprocess
from common.base import errors, facts, pictures
from common.data import cityscapes
from common.data.demo import streets
from common.dev import train

BLOCKS, WIDTHS = (2, 2, 4, 2), (32, 32, 48, 64, 96)
BATCH, RATE = 4, 3e-3
CROP = (256, 512)
"""Height and width of what is cut from a picture of 512x1024."""
Sample = Tuple[np.ndarray, np.ndarray]


def main(argv: Optional[Sequence[str]] = None) -> None:
    started, model = time.time(), facts.load(__file__)
    parser = train.parser(errors.first_line(__doc__), steps=2000)
    train.add_streets(parser)
    args = parser.parse_args(argv)
    import torch
    from torch.nn import functional

    import deeplabv2
    torch.manual_seed(args.seed)
    generator = np.random.default_rng(args.seed)
    size, mean = (model.extra["width"], model.extra["height"]), model.extra["mean_bgr"]
    classes = len(cityscapes.CLASSES)

    def read(photo: np.ndarray, labels: np.ndarray) -> Sample:
        """Input float32 [3, 512, 1024] and train ids uint8 [512, 1024]."""
        import cv2
        return (intrada_preprocess.preprocess(photo, size, mean)[0],
                cityscapes.to_train_ids(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)))

    samples: List[Sample] = [read(pictures.read_rgb(photo), cityscapes.read_labels(labels))
                             for photo, labels, _ in streets.training(args.streets, args.count)]
    # rare classes count for more: 1 / ln(1.05 + share), after ENet (Paszke et al., arXiv 1606.02147; 1.02 there)
    share = np.bincount(np.concatenate([ids[ids != cityscapes.IGNORED] for _, ids in samples]), minlength=classes)
    weight = torch.tensor(1 / np.log(1.05 + share / share.sum()), dtype=torch.float32)

    def cut(picture: np.ndarray, ids: np.ndarray) -> Tuple[torch.Tensor, torch.Tensor]:
        top, left = (generator.integers(whole - part + 1) for whole, part in zip(ids.shape, CROP))
        way = -1 if generator.random() < 0.5 else 1
        place = (slice(top, top + CROP[0]), slice(left, left + CROP[1]))
        bright = picture[(slice(None), *place)][..., ::way] * generator.uniform(0.85, 1.15) + generator.uniform(-12, 12)
        return (torch.from_numpy(bright.astype(np.float32)),
                torch.from_numpy(ids[place][..., ::way].astype(np.int64)))

    def loss(network: torch.nn.Module, step: int) -> torch.Tensor:
        """Weighted cross entropy at an input pixel in four, of the main output and, at 0.4, of the auxiliary one."""
        chosen = [cut(*samples[i]) for i in generator.integers(0, len(samples), BATCH)]
        x, ids = train.batch([one for one, _ in chosen]), torch.stack([one for _, one in chosen])[:, ::2, ::2]
        auxiliary, main = (functional.cross_entropy(
            functional.interpolate(scores.float(), ids.shape[1:], mode="bilinear", align_corners=True), ids, weight,
            ignore_index=cityscapes.IGNORED) for scores in network(x))
        return main + 0.4 * auxiliary

    network = deeplabv2.DeepLabV2(blocks=BLOCKS, widths=WIDTHS, both_outputs=True)
    train.store(train.run(network, loss, args.steps, RATE), args.output, f"{args.count} drawn streets", args, started)


if __name__ == "__main__":
    errors.run(main)
