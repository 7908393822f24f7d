"""Seeded weights for runs without a checkpoint: `python3 -m common.convert.seed --output PTH` in a model's folder.

They show that the way works and that backends agree. They were never trained, which a mark in the file says
(`checkpoint.UNTRAINED`): no accuracy follows from them.
"""
from __future__ import annotations

import argparse
import inspect
from typing import Any, Callable, Mapping, Optional, Sequence, Tuple, Union

from common.base import errors, settings
from common.base.errors import UserError


def _width(text: str) -> Tuple[str, Union[int, Tuple[int, ...]]]:
    name, _, value = text.partition("=")
    return name, tuple(map(settings.positive, value.split(","))) if "," in value else settings.positive(value)


def _fit(seeded: Callable[..., Any], chosen: Mapping[str, Union[int, Tuple[int, ...]]]) -> None:
    """Raise `UserError` for a width that the network does not know, and for one number where it has several."""
    known = {name: each.default for name, each in inspect.signature(seeded).parameters.items() if name != "seed"
             and not isinstance(each.default, str)}
    for name, value in chosen.items():
        if name not in known:
            raise UserError(f"--set {name}: this network has none of that name; it has {', '.join(known)}")
        wanted = len(known[name]) if isinstance(known[name], (tuple, list)) else 1
        if wanted != (len(value) if isinstance(value, tuple) else 1):
            raise UserError(f"--set {name}: expected {wanted} number{'s' if wanted > 1 else ''}, found "
                            f"{','.join(map(str, value)) if isinstance(value, tuple) else value}")


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.convert.seed", description=errors.first_line(__doc__))
    parser.add_argument("--output", required=True, help="checkpoint to write")
    parser.add_argument("--seed", type=settings.whole(0), default=0, help="default: %(default)s")
    parser.add_argument("--model", default=".", help="the model's folder (default: here)")
    parser.add_argument("--set", action="append", default=[], metavar="WIDTH=N[,N...]", type=_width,
                        help="another width or depth than the reference's, by the network module's own names")
    args = parser.parse_args(argv)
    from common.convert import checkpoint
    from common.convert.network import network_module
    seeded = network_module(args.model).seeded
    _fit(seeded, dict(args.set))
    try:
        network = seeded(args.seed, **dict(args.set))
    except RuntimeError as error:  # of widths that no memory holds
        raise UserError(f"--set: such a network cannot be made: {str(error).splitlines()[0]}") from error
    checkpoint.save(network, args.output)
    print(f"{args.output}: seeded weights (seed {args.seed}), never trained; agreement with PyTorch is reported, "
          "not accuracy")


if __name__ == "__main__":
    errors.run(main)
