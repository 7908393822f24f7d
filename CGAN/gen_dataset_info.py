#!/usr/bin/env python3
"""The list of input files that the benchmark tool reads: index, path, width, height."""
from __future__ import annotations

import argparse
from typing import Optional, Sequence

from common.base import errors, settings
from common.data import dataset


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset_bin", required=True, metavar="DIR", help="folder with the .bin files")
    parser.add_argument("--info_name", required=True, metavar="INFO", help="file to write")
    parser.add_argument("--width", required=True, type=settings.positive, help="columns of the input: 72")
    parser.add_argument("--height", required=True, type=settings.positive, help="rows of the input: 100")
    args = parser.parse_args(argv)
    count = dataset.write_info(args.dataset_bin, args.info_name, (args.width, args.height))
    print(f"gen_dataset_info.py: {count} file{'s' if count > 1 else ''} listed in {args.info_name}")


if __name__ == "__main__":
    errors.run(main)
