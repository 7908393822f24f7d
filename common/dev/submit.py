"""A ModelZoo reviewer in a command: `python3 -m common.dev.submit FOLDER` on a dist folder, or any other.

Each finding names its file, the rule and the cure; exit status 1 while one stands. The rules are data, in
`modelzoo.json` beside this file. With --output it writes the row for ModelZoo's main table and the pull request's text.
"""
from __future__ import annotations

import argparse
import fnmatch
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from common.base import errors, facts, files
from common.base.errors import UserError
from common.dev import modelzoo, readme
from common.dev.modelzoo import RULES

Found = Iterator[Tuple[str, str]]
"""Where, in the folder, and what is wrong there."""
PATIENCE = 120
"""Seconds that a command of the README may take to answer --help."""


class Finding(NamedTuple):
    """One thing that a reviewer would turn back."""

    rule: str
    where: str
    what: str

    def __str__(self) -> str:
        told = RULES["rules"][self.rule]
        return f"{self.where}: {self.what}\n    rule ({self.rule}): {told['rule']}\n    cure: {told['cure']}"


def there(folder: Path) -> List[Path]:
    """Every file and link of the folder, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())


def name(folder: Path, path: Path) -> str:
    return path.relative_to(folder).as_posix()


def text_of(folder: Path, path: str) -> str:
    place = folder / path
    return place.read_text(encoding="utf-8", errors="replace") if place.is_file() else ""


def check_files(folder: Path) -> Found:
    for wanted in RULES["required_files"]:
        if not (folder / wanted).is_file():
            yield wanted, "is missing"
    for path in there(folder):
        if path.is_symlink():
            yield name(folder, path), "is a link, which does not survive the upload"


def check_names(folder: Path) -> Found:
    for path in sorted(folder.rglob("*")):
        if not re.fullmatch(RULES["names"], path.name):
            yield name(folder, path), "has other characters in its name"


def check_sizes(folder: Path) -> Found:
    sizes = {name(folder, path): path.lstat().st_size for path in there(folder)}
    for path, size in sizes.items():
        if size > RULES["largest_file_bytes"]:
            yield path, f"has {files.size(size)}, at most {files.size(RULES['largest_file_bytes'])} are taken"
    if sum(sizes.values()) > RULES["largest_folder_bytes"]:
        most = files.size(RULES["largest_folder_bytes"])
        yield ".", f"has {files.size(sum(sizes.values()))}, at most {most} are taken"


def check_headers(folder: Path) -> Found:
    for path in there(folder):
        if path.suffix in RULES["header_suffixes"] and path.is_file() and RULES["header"] not in path.read_text(
                encoding="utf-8", errors="replace")[:1500]:
            yield name(folder, path), "has no licence header"


def check_downloads(folder: Path) -> Found:
    code = {*RULES["code_addresses"]}  # the place for addresses of code, where a checkpoint's origin is named
    for path, line, address in modelzoo.found_addresses(folder):
        if path not in code and any(re.search(bad, address) for bad in RULES["forbidden_addresses"]):
            yield f"{path}:{line}", f"{address} is a download"


def check_addresses(folder: Path) -> Found:
    stated = text_of(folder, modelzoo.ADDRESSES)
    rows = {(cells[1], cells[2], cells[3]) for cells in (
        [cell.strip() for cell in line.strip("| ").split("|")] for line in stated.splitlines()) if len(cells) == 5
        and cells[4]}
    for path, line, address in modelzoo.found_addresses(folder):
        header = modelzoo.purpose(address, folder) == "许可证" and not path.startswith("LICENSE")
        if not header and (path, str(line), address) not in rows:
            yield f"{path}:{line}", f"{address} is not stated with its file, line and purpose"
        name_only = header or address in RULES["identifiers"]  # which nothing is fetched from
        if path.endswith((".py", ".sh")) and not name_only:
            yield f"{path}:{line}", f"{address} stands in code"


def check_chapters(folder: Path) -> Found:
    found = re.findall(r"^(##|###) (.+?)\s*$", text_of(folder, "README.md"), re.MULTILINE)
    chapters = [title for mark, title in found if mark == "##"]
    if [title for title in chapters if title in RULES["chapters"]] != RULES["chapters"]:
        yield "README.md", f"has the chapters {', '.join(chapters) or 'none'}; expected {', '.join(RULES['chapters'])}"
    for chapter, sections in RULES["sections"].items():
        start = next((place for place, each in enumerate(found) if each == ("##", chapter)), len(found))
        rest = found[start + 1:]
        own = [title for mark, title in rest[:next((place for place, each in enumerate(rest) if each[0] == "##"),
                                                   len(rest))]]
        if [title for title in own if title in sections] != sections:
            yield "README.md", f"chapter {chapter} lacks {', '.join(sections)}, in this order"


def check_level(folder: Path) -> Found:
    told = text_of(folder, "modelzoo_level.txt")
    try:
        proved = modelzoo.level(folder)
    except UserError as error:
        yield "modelzoo_level.txt", f"cannot be held to results: {error}"
        return
    if told.split() != proved.split():
        said = " ".join(told.split()) or "nothing"
        yield "modelzoo_level.txt", f"says {said}, results.json proves {' '.join(proved.split())}"


def check_pins(folder: Path) -> Found:
    for number, line in enumerate(text_of(folder, "requirements.txt").splitlines(), 1):
        package = line.split("#")[0].strip()
        if package and not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][\w.+!]*", package):
            yield f"requirements.txt:{number}", f"{line.strip()} is not pinned with =="


def run(folder: Path, *words: str) -> Optional[str]:
    """The last line that a command says where it fails; None where it goes well."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    try:
        done = subprocess.run(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=PATIENCE,
                              env={**kept, "PYTHONPATH": str(folder)})
    except subprocess.TimeoutExpired:
        return f"did not end within {PATIENCE} s"
    return None if done.returncode == 0 else (done.stdout.strip().splitlines() or [f"status {done.returncode}"])[-1]


def check_commands(folder: Path) -> Found:
    """The README's scripts and modules answer --help in this folder, with nothing of the collection on the path.

    They run in a copy without what is too large for ModelZoo: compiled modules stay there, which each needs.
    """
    def large(place: str, names: List[str]) -> List[str]:
        return [name for name in names if os.path.isfile(os.path.join(place, name))
                and os.path.getsize(os.path.join(place, name)) > RULES["largest_file_bytes"]]
    with tempfile.TemporaryDirectory() as place:
        copy = Path(shutil.copytree(folder, Path(place) / folder.name, symlinks=True, ignore=large))
        shell = "\n".join(re.findall(r"```[a-z]*\n(.*?)```", text_of(folder, "README.md"), re.DOTALL))
        scripts = sorted(set(re.findall(r"\b(?:bash|sh) (\S+\.sh)", shell)))
        lines = [(f"bash {script}", script, ["bash", script]) for script in scripts]
        lines += [(f"python3 {program}", program, [sys.executable, program]) for program in modelzoo.programs(shell)]
        lines += [(f"python3 -m {program}", "", [sys.executable, "-m", *program.split()]) for program in
                  sorted(set(re.findall(r"python3 -m (common(?:\.[\w.]+| \w+))", shell)))]
        for told, file, words in lines:
            said = run(copy, *words, "--help") if not file or (copy / file).is_file() else "no such file"
            if said:
                yield "README.md", f"`{told}` does not run: {said}"


def check_exit(folder: Path) -> Found:
    for path in sorted((folder / "test").glob("*.sh")):
        if not re.search(r"^set -euo pipefail", path.read_text(encoding="utf-8"), re.MULTILINE):
            yield name(folder, path), "goes on after a failure"
        else:
            said = run(folder, "bash", "-n", str(path))
            if said:
                yield name(folder, path), f"is no shell script: {said}"


def check_leftovers(folder: Path) -> Found:
    for path in sorted(folder.rglob("*")):
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in RULES["leftovers"]) and not any(
                fnmatch.fnmatch(part, pattern) for part in path.relative_to(folder).parent.parts
                for pattern in RULES["leftovers"]):
            yield name(folder, path), "is left over from a run"


def check_licence(folder: Path) -> Found:
    try:
        licence = facts.load(folder).upstream.get("licence")
    except UserError as error:
        yield "facts.json", str(error)
        return
    if not licence or not licence.get("name"):
        yield "facts.json", "names no licence of the upstream"
    elif licence["file"] and not (folder / licence["file"]).is_file():
        yield licence["file"], f"is missing, the upstream's text ({licence['name']})"


CHECKS: Dict[str, Callable[[Path], Found]] = {
    rule: globals()[f"check_{rule}"] for rule in RULES["rules"]}


def review(folder: Path) -> List[Finding]:
    """All findings, by the rules' order."""
    return [Finding(rule, where, what) for rule, check in CHECKS.items() for where, what in check(folder)]


def row(folder: Path) -> str:
    """The row for ModelZoo's main table: model, framework, data, chips with figures, level."""
    model = facts.load(folder)
    level = dict(line.split(":") for line in modelzoo.level(folder).split())
    return "| " + " | ".join((f"[{model.name}](./{model.name})", "PyTorch", model.metric.name, level["FuncStatus"],
                              level["PrecisionStatus"], level["PerfStatus"])) + " |\n"


def request(folder: Path) -> str:
    """The text of the pull request."""
    model, paths = facts.load(folder), there(folder)
    upstream = model.upstream
    size = sum(path.lstat().st_size for path in paths if not path.name.startswith("LICENSE"))
    return f"""[推理] 新增 {model.name} 模型

**模型**：{model.title}
**参考实现**：{upstream['repository']}，commit {upstream['commit']}，许可证 {upstream.get('licence', {}).get('name', '')}
**目录**：{len(paths)} 个文件，{files.size(size)}（不含 LICENSE）
**自检**：`bash test/offline_inference_testcase.sh`，由 ONNX Runtime 或 NPU 完成
**等级**：{'，'.join(modelzoo.level(folder).split())}
{'**NPU 数据**：见 README' if modelzoo.by_npu(readme.kept(folder)) else '**NPU 数据**：尚无实测，故 PerfStatus 为 NOK'}
"""


def main(argv: Optional[Sequence[str]] = None) -> int:
    parser = argparse.ArgumentParser(prog="python3 -m common.dev.submit", description=errors.first_line(__doc__),
                                     epilog="Exit status 1 while a finding stands.")
    parser.add_argument("folder", help="the folder to review")
    parser.add_argument("--output", metavar="DIR", help="where all is well, also write row.md and pull_request.md there")
    args = parser.parse_args(argv)
    folder = files.existing_folder(args.folder, "a model for ModelZoo").resolve()
    found = review(folder)
    for finding in found:
        print(finding)
    count = len(there(folder))
    if found:
        print(f"{folder}: {len(found)} finding{'' if len(found) == 1 else 's'} in {count} files")
        return 1
    print(f"{folder}: {count} files, all {len(CHECKS)} rules are kept")
    if args.output:
        for label, text in (("row.md", row(folder)), ("pull_request.md", request(folder))):
            files.write_text(Path(args.output) / label, text)
            print(f"{Path(args.output) / label}: written")
    return 0


if __name__ == "__main__":
    errors.run(main)
