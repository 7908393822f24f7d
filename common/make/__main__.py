"""For Makefiles: `python3 -m common.make` prints where the rules are, `help FILE...` the targets with their `##` texts.

A file that is not in the working folder is looked for beside this one.
"""
from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Iterator, Optional, Sequence

from common.base import errors

HERE = Path(__file__).parent
TARGET = re.compile(r"([a-z0-9-]+):.*## (.*)")


def targets(paths: Sequence[Path]) -> Iterator[str]:
    """A line per target that these makefiles document."""
    for path in (path if path.is_file() else HERE / path for path in paths):
        for line in path.read_text(encoding="utf-8").splitlines():
            match = TARGET.match(line)
            if match:
                yield f"  {match[1]:<13} {match[2]}"


def main(argv: Optional[Sequence[str]] = None) -> None:
    words = sys.argv[1:] if argv is None else list(argv)
    if words:
        print("\n".join(dict.fromkeys(targets(list(map(Path, words[1:]))))))
    else:
        print(str(HERE).replace(" ", "\\ "))  # as `include` takes it


if __name__ == "__main__":
    errors.run(main)
