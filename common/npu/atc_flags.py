"""atc's precision and further flags, as ATC_PRECISION= and ATC_FLAGS= choose: `python3 -m common.npu.atc_flags`.

It prints what goes into atc's line in place of `--precision_mode=force_fp16`. Sources: CANN 8.5.0's pages of
--precision_mode_v2, which cannot stand beside --precision_mode, and of --input_fp16_nodes, nor that beside
--insert_op_conf (docs/CANN.md, Sources).
"""
from __future__ import annotations

import argparse
import os
import shlex
from typing import Dict, List, Optional, Sequence

from common.base import errors
from common.base.errors import UserError
from common.engines.engine import CANN_PRECISIONS

DEFAULT = CANN_PRECISIONS[0]
OLD = (*CANN_PRECISIONS, "allow_fp32_to_bf16", "allow_mix_precision_bf16")
"""Values of --precision_mode."""
NEW = ("fp16", "origin", "mixed_float16", "mixed_bfloat16")
"""Values of --precision_mode_v2 alone; cube_fp16in_fp32out is both's."""
EXCLUDE = (("precision_mode", "precision_mode_v2"), ("input_fp16_nodes", "insert_op_conf"))


def given() -> List[str]:
    """The words of `ATC_FLAGS`, quotes taken off. Raises `UserError` for one that is no `--NAME=VALUE`, and repetitions."""
    text = os.environ.get("ATC_FLAGS", "")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UserError(f"ATC_FLAGS={text}: a quote is not closed") from error
    names = [word.partition("=")[0] for word in words]
    for word, name in zip(words, names):
        if not word.startswith("--") or "=" not in word or len(name) < 3:
            raise UserError(f"ATC_FLAGS={text}: expected --NAME=VALUE, found {word}")
        if names.count(name) > 1:
            raise UserError(f"ATC_FLAGS={text}: has {name} twice")
    return words


def flags() -> List[str]:
    """The words in place of `--precision_mode=force_fp16`. Raises `UserError` for what atc does not take together."""
    words, chosen = given(), os.environ.get("ATC_PRECISION", "").strip()
    values: Dict[str, str] = {word.partition("=")[0][2:]: word.partition("=")[2] for word in words}
    for one, other in EXCLUDE:
        if one in values and other in values:
            raise UserError(f"ATC_FLAGS: atc takes --{one} or --{other}, both are given")
    said = [name for name in EXCLUDE[0] if name in values]
    if chosen and said:
        raise UserError(f"ATC_PRECISION={chosen}: ATC_FLAGS has --{said[0]} too; give one of them")
    if chosen and chosen not in (*OLD, *NEW):
        raise UserError(f"ATC_PRECISION={chosen}: expected one of {', '.join((*OLD, *NEW))}")
    if said:
        return words
    return [f"--precision_mode{'_v2' if chosen in NEW else ''}={chosen or DEFAULT}", *words]


def precision() -> str:
    """The value of --precision_mode or --precision_mode_v2 that atc is given."""
    return next(word.partition("=")[2] for word in flags() if word.startswith("--precision_mode"))


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.npu.atc_flags", description=errors.first_line(__doc__))
    parser.add_argument("--lines", action="store_true", help="a flag on each line, not quoted")
    words = flags()
    print("\n".join(words) if parser.parse_args(argv).lines else " ".join(map(shlex.quote, words)))


if __name__ == "__main__":
    errors.run(main)
