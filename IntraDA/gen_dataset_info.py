#!/usr/bin/env python3
"""`gen_dataset_info.py bin DIR INFO WIDTH HEIGHT`: the list of samples that the benchmark tool reads."""
from __future__ import annotations

from typing import Optional, Sequence

from common.base import errors
from common.data import dataset


def main(argv: Optional[Sequence[str]] = None) -> None:
    dataset.info_main(argv, "gen_dataset_info.py")


if __name__ == "__main__":
    errors.run(main)
