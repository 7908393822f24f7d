"""For Makefiles: `python3 -m common.make` prints where the rules are, `help FILE...` the targets with their `##` texts,
`nearest NAME WORDS FILE...` which of those targets, or of the words, a name that is unknown may have meant.

A file that is not in the working folder is looked for beside this one.
"""
from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import Iterable, Iterator, Optional, Sequence, Tuple

from common.base import errors

HERE = Path(__file__).parent
TARGET = re.compile(r"([a-z0-9-]+):.*## (.*)")


def targets(paths: Sequence[Path]) -> Iterator[Tuple[str, str]]:
    """The targets that these makefiles document, with their texts."""
    for path in (path if path.is_file() else HERE / path for path in paths):
        for line in path.read_text(encoding="utf-8").splitlines():
            match = TARGET.match(line)
            if match:
                yield match[1], match[2]


def nearest(name: str, known: Iterable[str]) -> str:
    """"; did you mean X?", or nothing where no known name is like it."""
    by_lower = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), by_lower, 1)
    return f"; did you mean {by_lower[found[0]]}?" if found else ""


def main(argv: Optional[Sequence[str]] = None) -> None:
    words = sys.argv[1:] if argv is None else list(argv)
    if words[:1] == ["nearest"]:
        print(nearest(words[1], [*words[2].split(), *(name for name, _ in targets(list(map(Path, words[3:]))))]))
    elif words:
        print("\n".join(dict.fromkeys(f"  {name:<13} {text}" for name, text in targets(list(map(Path, words[1:]))))))
    else:
        print(str(HERE).replace(" ", "\\ "))  # as `include` takes it


if __name__ == "__main__":
    errors.run(main)
