"""What stands in a JSON file, held to its schema: `schemas/<kind>.schema.json` in this room, one for each kind of file.

Nothing in a file is believed because this project writes such files: another version, another tool, an editor or a
stranger may have left it. A file is read by `common.base.files.read_json(path, kind)`; whether its figures hold together
is checked beside what writes them (`common.judge.verdicts`, `common.judge.agreement`, `common.infer.records`).
"""
from __future__ import annotations

import contextlib
import functools
import json
import re
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, NoReturn, Tuple, Union

from common.base.errors import UserError

SCHEMAS = Path(__file__).with_name("schemas")
DRAFT = "http://json-schema.org/draft-04/schema#"
"""Draft 4: there 1.0 is no integer, as it is none in Python."""
LARGEST = 1 << 28
"""Bytes of a file that is still read: the manifest of half a million samples has fewer."""
DIGITS = 400
"""Digits of a number; more are no figure, and take long to convert."""
FIGURES = bytes(ord("0") if code in b"0123456789" else ord(" ") for code in range(256))
"""What stands for each byte of a text in which only the runs of digits matter."""
SHOWN = 60
"""Characters of a value that a message shows."""

Schema = Union[str, Mapping[str, Any]]
"""The kind of a file, the name of a schema in `SCHEMAS`, or a schema itself."""


def parse(text: str, where: str) -> Any:
    """The value that a JSON text stands for. where: names it in the `UserError`.

    Refused beside what is no JSON: NaN and infinity, also as 1e999, which Python's parser takes; a name that stands twice
    in an object; numbers of more than `DIGITS` digits; values nested too deeply to be walked through.
    """
    def number(kind: Callable[[str], Any]) -> Callable[[str], Any]:
        def convert(digits: str) -> Any:
            if len(digits) > DIGITS:
                raise UserError(f"{where}: holds a number of {len(digits)} digits; it is damaged")
            value = kind(digits)
            if value in (float("inf"), float("-inf")):
                refuse(digits)
            return value
        return convert

    def refuse(word: str) -> NoReturn:
        raise UserError(f"{where}: holds {word[:SHOWN]}, expected finite numbers; what wrote it went wrong")

    def named(pairs: List[Tuple[str, Any]]) -> Dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen: set = set()
            twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
            raise UserError(f"{where}: {twice[:SHOWN]!r} stands twice in one object; it is damaged")
        return found

    # a call for each whole number takes as long as all else: only where one may be too long
    long = b"0" * (DIGITS + 1) in text.encode("utf-8", "surrogatepass").translate(FIGURES)
    try:
        return json.loads(text, parse_int=number(int) if long else None, parse_float=number(float), parse_constant=refuse,
                          object_pairs_hook=named)
    except RecursionError as error:
        raise UserError(f"{where}: is nested too deeply to be read; it is damaged") from error
    except ValueError as error:
        raise UserError(f"{where}: is not JSON, or cut off ({error})") from error


def check(value: Any, schema: Schema, where: str) -> None:
    """Raise `UserError`, which names the place in the value, unless it fits the schema."""
    validate = _validator(schema)
    import fastjsonschema
    try:
        validate(value)
    except fastjsonschema.JsonSchemaValueException as error:
        name: str = error.name or ""
        place = re.sub(r"^data\.?", "", name)
        expected = re.sub(r"\{(data[^{}]*)\}", r"\1", error.message)
        expected = expected[len(name):].strip() if expected.startswith(name) else expected
        found = "" if error.rule in ("required", "additionalProperties") else f", found {shown(error.value)}"
        kind = f" as {schema}.schema.json asks" if isinstance(schema, str) else ""
        raise UserError(f"{where}: {place + ' ' if place else ''}{expected}{found}{kind}; it is damaged or of another "
                        "version, make it again") from error


def fits(value: Any, schema: Schema) -> bool:
    """Whether the value fits the schema."""
    try:
        check(value, schema, "")
    except UserError:
        return False
    return True


def shown(value: Any) -> str:
    """A value for a message: a list or object by its kind, anything else in JSON, shortened."""
    if isinstance(value, (dict, list)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _validator(schema: Schema) -> Callable[[Any], Any]:
    return _of_kind(schema) if isinstance(schema, str) else _of_text(json.dumps(schema, sort_keys=True))


@functools.lru_cache(maxsize=None)
def _of_kind(kind: str) -> Callable[[Any], Any]:
    name, package = f"{kind}.schema.json", _package()
    with contextlib.suppress(ModuleNotFoundError):  # a folder for ModelZoo makes its checks anew
        from common.base import kept_checks
        code = kept_checks.names(SCHEMAS / name, package.VERSION,
                                 lambda: package.compile_to_code(_load(name), handlers=HANDLERS))
        return code["validate"]  # type: ignore[no-any-return]
    return package.compile(_load(name), handlers=HANDLERS)  # type: ignore[no-any-return]


@functools.lru_cache(maxsize=None)
def _of_text(text: str) -> Callable[[Any], Any]:
    return _package().compile({"$schema": DRAFT, **json.loads(text)}, handlers=HANDLERS)  # type: ignore[no-any-return]


def _package() -> Any:
    try:
        import fastjsonschema
    except ImportError as error:
        raise UserError("fastjsonschema cannot be imported, and no JSON file is read unchecked: pip install "
                        "fastjsonschema") from error
    return fastjsonschema


def _load(name: str) -> Dict[str, Any]:
    return {"$schema": DRAFT, **json.loads((SCHEMAS / name).read_text(encoding="utf-8"))}


HANDLERS = {"": lambda name: _load(Path(name).name)}
"""How one schema finds another."""
