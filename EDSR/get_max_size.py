#!/usr/bin/env python3
"""Print the side S of the square that holds every picture of a folder: the input size to export and pad to."""
from __future__ import annotations

import argparse
from typing import Optional, Sequence

from common.base import errors, pictures, settings


def max_side(folder: str) -> int:
    """The longest side in pixels among the pictures that preprocess would take (LIMIT of the environment holds)."""
    return max(max(pictures.read_size(path)) for path in pictures.find(folder, count=settings.limit()))


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", required=True, help="folder with the low-resolution pictures")
    args = parser.parse_args(argv)
    print(max_side(args.dir))


if __name__ == "__main__":
    errors.run(main)
