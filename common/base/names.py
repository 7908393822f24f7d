"""Names of samples and of their files, held to what a name may be: one rule, on reading and on writing, everywhere."""
from __future__ import annotations

import os
import re
from typing import Optional
from urllib.parse import quote, unquote

from common.base.errors import UserError

LONGEST = 255 - len("_output_99.bin")
"""Bytes of a sample's name: a file's has 255 on the usual file systems, and the tools add to it."""
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
ESCAPED = re.compile(r"[\s%]")


def fault(name: str) -> Optional[str]:
    """Why a sample cannot be called that, None where it can: its files are named after it, in a folder that is given."""
    if not name or name in (".", ".."):
        return "is no file's name"
    if "/" in name or os.sep in name or (os.altsep and os.altsep in name):
        return "leads out of its folder"
    if CONTROL.search(name):
        return "holds a control character, such as a line's end"
    try:
        length = len(os.fsencode(stem(name)))
    except UnicodeEncodeError:
        return "holds half of a character, which no file's name can"
    if length > LONGEST:
        return f"is longer than {LONGEST} bytes, so that no file's name can hold it and what the tools add"
    return None


def stem(sample: str) -> str:
    """What a sample's files are named after: itself, each space in it, and each %, as an address has it (`%20`), because
    benchmark's `.info` lists separate by spaces."""
    return ESCAPED.sub(lambda found: quote(found[0]), sample)


def of_stem(text: str) -> str:
    """The sample whose files are named after this: `stem` the other way round."""
    return unquote(text)


def check(name: str, where: object) -> str:
    """Give a sample's name back; raises `UserError`, with the file or list that it stands in, where it can be none."""
    wrong = fault(name)
    if wrong:
        raise UserError(f"{where}: sample {name!r:.80} {wrong}; expected the name of a file, without its folder and suffix")
    return name


def inside(path: str, where: object) -> str:
    """Give a path back that stays in the folder it is relative to; raises `UserError` for any other."""
    parts = path.split("/")
    parts = parts[1:] if parts[0] == "." else parts
    wrong = next((each for each in map(fault, parts or [""]) if each), None)
    if wrong:
        raise UserError(f"{where}: path {path!r:.80} {wrong}; expected one inside of the folder")
    return path
