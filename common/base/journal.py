"""What a stage has finished, kept so that a run that was cut off goes on where it stopped.

A stage works through samples. While it runs, each finished sample is a line of a hidden file; when all are done,
the whole becomes one JSON file, whose presence says that the stage is complete. A later run with the same recipe
(settings and code) redoes only the samples whose input changed or whose files are gone.
"""
from __future__ import annotations

import contextlib
import json
import os
import time
from pathlib import Path
from typing import IO, Any, Dict, Iterable, List, Mapping, Optional, Set

from common.base import files, json_files
from common.base.errors import UserError

SAMPLE: json_files.Schema = {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}
PLAN: json_files.Schema = {"type": "object", "required": ["plan"], "properties": {
    "plan": {"type": "array", "items": {"type": "string"}}}}
ENCODE = json.JSONEncoder(ensure_ascii=False).encode
SOON, MANY = 0.2, 256
"""Seconds that a note may wait for others, and how many are written at once."""


def stamp(path: files.PathLike) -> Dict[str, int]:
    """Size in bytes, and times in ns, of a file: enough to notice that it changed.

    The time of its latest change of any kind (ctime) tells a change even where the modification time was set back.
    """
    status = os.stat(path)
    return {"size": status.st_size, "mtime_ns": status.st_mtime_ns, "ctime_ns": status.st_ctime_ns}


class Journal:
    """The finished samples of one stage: `finished[id]` is the record given to `add`.

    existed: whether an earlier run left a journal here.
    left: the records of an earlier run, of this recipe or another: only files that they name may be removed.
    planned: the samples that an earlier run was to do, finished or not; their files are its own as well.
    told: what an earlier run of this recipe that was complete said beside its samples.

    path: the JSON file that stands for the completed stage.
    recipe: all that the outputs depend on beside the samples (settings, checksums of code or model), as JSON
        values. Records made under another recipe are forgotten.
    sample: the schema of a record; one that does not fit it is forgotten, and its sample done again.
    """

    def __init__(self, path: files.PathLike, recipe: Mapping[str, Any], sample: json_files.Schema = SAMPLE):
        self.path = Path(path)
        self._sample = sample
        self.recipe = json.loads(json.dumps(recipe))
        self.finished: Dict[str, Dict[str, Any]] = {}
        self.left: Dict[str, Dict[str, Any]] = {}
        self.planned: Set[str] = set()
        self.told: Dict[str, Any] = {}
        self.existed = self.path.exists() or self.path.with_name(f".{self.path.stem}.partial.jsonl").exists()
        self._partial = self.path.with_name(f".{self.path.stem}.partial.jsonl")
        self._file: Optional[IO[str]] = None
        self._waiting: List[str] = []
        self._waits, self._written = False, 0.0
        self._load()

    def _load(self) -> None:
        with contextlib.suppress(UserError):
            whole = files.read_json(self.path, "journal")
            self.left.update({record["id"]: record for record in whole["samples"]})
            if whole["recipe"] == self.recipe:
                self._keep(whole["samples"])
                self.told = {key: value for key, value in whole.items() if key != "samples"}
        if files.kind(self._partial) == "a file":
            lines = self._partial.read_bytes().decode("utf-8", errors="replace").split("\n")[:-1]
            with contextlib.suppress(UserError):  # a killed run leaves half a line
                begin = json_files.parse(lines[0] if lines else "", str(self._partial))
                for line in lines[1:]:
                    record = json_files.parse(line, str(self._partial))
                    if json_files.fits(record, SAMPLE):
                        self.left[record["id"]] = record
                    elif json_files.fits(record, PLAN):
                        self.planned.update(record["plan"])
                    if isinstance(begin, dict) and begin.get("recipe") == self.recipe:
                        self._keep([record])

    def _keep(self, records: Iterable[Any]) -> None:
        for record in records:
            if json_files.fits(record, SAMPLE) and json_files.fits(record, self._sample):
                self.finished[record["id"]] = record

    def add(self, sample: str, record: Mapping[str, Any]) -> None:
        """Note `sample` as finished, after its files are in place."""
        self.begin()
        self.finished[sample] = {"id": sample, **record}
        self._waiting.append(ENCODE(self.finished[sample]))
        if not self._waits or len(self._waiting) >= MANY or time.monotonic() - self._written > SOON:
            self._write()

    def begin(self, plan: Iterable[str] = ()) -> None:
        """From here on the stage is not complete: the finished file goes, the list of parts begins.

        plan: the samples that are to be done. They are noted first, so that no file of theirs is ever nobody's; then
        finished ones may be noted several at a time, and the stage is to `close` the journal however it ends.
        """
        if self._file is not None:
            return
        plan = set(plan)
        self._waits = bool(plan)
        noted = [{"plan": sorted(plan.union(self.planned, self.left))}] if plan else []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with files.atomic(self._partial) as temporary:
            self._file = open(temporary, "w", encoding="utf-8")
            self._waiting = [ENCODE(value) for value in ({"recipe": self.recipe}, *noted, *self.finished.values())]
            self._write()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()

    def _write(self) -> None:
        assert self._file is not None
        self._file.write("".join(f"{line}\n" for line in self._waiting))
        self._file.flush()
        self._waiting, self._written = [], time.monotonic()

    def complete(self, order: Iterable[str], **more: Any) -> None:
        """Write the JSON file: `{"recipe", **more, "samples": [records in the given order]}`, a record on each line.

        Indenting records too would take a tenth of the time of preprocessing a small picture.
        """
        try:
            head = json.dumps({"recipe": self.recipe, **more}, indent=1, ensure_ascii=False, allow_nan=False)
            encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
            records = ",\n  ".join(encode(self.finished[sample]) for sample in order)
        except ValueError as error:
            raise UserError(f"{self.path}: a value is NaN or infinite and cannot be reported") from error
        files.write_text(self.path, f'{head[:-2]},\n "samples": [\n  {records}\n ]\n}}\n')
        self.close()
        with contextlib.suppress(FileNotFoundError):
            self._partial.unlink()

    @property
    def empty(self) -> bool:
        """Whether it tells of no sample, neither a finished one nor one of an earlier run."""
        return not (self.finished or self.left or self.planned)

    def close(self) -> None:
        """Close the list of parts; it stays on disk for the next run, unless it tells nothing that was not told before."""
        if self._file is not None:
            self._write()
            self._file.close()
            self._file = None
            if self.empty:
                with contextlib.suppress(FileNotFoundError):
                    self._partial.unlink()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
