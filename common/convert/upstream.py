"""The upstream's code at its pinned commit: `python3 -m common.convert.upstream fetch` brings it to build/upstream.

With SOURCE=upstream an export script traces the upstream's network in place of the built-in one, filled with the same
weights, and then holds the file to the built-in one as always. Upstream code runs in a process of its own, because its
modules have names such as `model`, `data` and `utils`.
"""
from __future__ import annotations

import argparse
import importlib
import importlib.util
import inspect
import io
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence

from common.base import errors, facts, files
from common.base.errors import UserError

if TYPE_CHECKING:
    import torch

MARK = ".fetched.json"
"""Lies in the fetched folder and says which commit and diffs it holds; it is there only when the folder is whole."""


def asked() -> bool:
    """Whether SOURCE in the environment asks for the upstream's network. Raises `UserError` for an unknown value."""
    source = os.environ.get("SOURCE", "").strip() or "built-in"
    if source not in ("built-in", "upstream"):
        raise UserError(f"SOURCE={source}: expected built-in (default) or upstream")
    return source == "upstream"


def pinned(model_folder: files.PathLike) -> Dict[str, Any]:
    """What a model's upstream folder must hold: `{"commit", "folders", "diffs": {name: SHA-256}}`.

    The diffs are those for the export: `export_diffs` of the facts where the model has others too.
    """
    upstream = facts.load(model_folder).upstream
    names = upstream.get("export_diffs", upstream["diffs"])
    return {"commit": upstream["commit"], "folders": upstream["folders"],
            "diffs": {name: files.sha256(files.existing_file(Path(model_folder) / name, "a diff")) for name in names}}


def held(folder: files.PathLike) -> Optional[Dict[str, Any]]:
    """What an earlier `fetch` left in `folder`, None where there is nothing whole."""
    mark = Path(folder) / MARK
    return files.read_json(mark, "upstream") if mark.exists() else None


def fetch(model_folder: files.PathLike, folder: files.PathLike, url: str = "") -> bool:
    """Bring the pinned commit (shallow, sparse), its diffs applied, to `folder`; False where it was there already.

    url: address or folder of a clone; empty for the upstream's own. `folder` appears whole or not at all; one of
    another commit is replaced. Raises `UserError` when git, the network, the commit or a diff's place is missing.
    """
    model_folder, folder = Path(model_folder).resolve(), Path(folder).resolve()
    wanted = pinned(model_folder)
    if held(folder) == wanted:
        return False
    if shutil.which("git") is None:
        raise UserError("git is not on PATH; install it, or copy a folder that `make upstream` made elsewhere to "
                        f"{folder}")
    url = url or facts.load(model_folder).upstream["repository"]
    if os.path.exists(url):  # git runs elsewhere
        url = os.path.abspath(url)
    if os.path.lexists(folder) and not (folder / MARK).is_file() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder}: is there and was not fetched by this program; move it, then run this again")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        _checkout(part, url, wanted["commit"], wanted["folders"])
        for name in wanted["diffs"]:
            done = _git(part, "apply", "--whitespace=nowarn", str(model_folder / name))
            if done.returncode:
                raise UserError(f"{name} does not apply to commit {wanted['commit'][:10]}: {_reason(done)}")
        files.write_json(part / MARK, wanted)
        _replace(folder, part)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return True


def _checkout(part: Path, url: str, commit: str, folders: Sequence[str]) -> None:
    shown = re.sub(r"//[^/@]*@", "//", url)  # an address may hold a password
    for setting in (["init", "--quiet"], ["remote", "add", "origin", url], ["config", "core.autocrlf", "false"],
                    ["config", "core.sparseCheckout", "true"], ["config", "advice.detachedHead", "false"]):
        done = _git(part, *setting)
        if done.returncode:
            raise UserError(f"git {setting[0]}: {_reason(done)}")
    files.write_text(part / ".git/info/sparse-checkout", "\n".join(sparse_patterns(folders)) + "\n")
    for how in (["--filter=blob:none", "--depth=1", "origin", commit], ["--depth=1", "origin", commit],
                ["origin", "+refs/heads/*:refs/fetched/*"]):  # old servers give no single commit: all of it then
        done = _git(part, "fetch", "--quiet", "--no-tags", *how)
        if done.returncode and not re.search(r"not our ref|unadvertised|unknown option|dumb http", done.stderr):
            raise UserError(f"{shown}: cannot be fetched from: {_reason(done)}. Without a network, give UPSTREAM_URL= "
                            "a clone on this machine or a mirror")
        if not done.returncode:
            break
    if done.returncode or _git(part, "cat-file", "-e", commit + "^{commit}").returncode:
        raise UserError(f"{shown}: does not have the pinned commit {commit}; give UPSTREAM_URL= a clone that has it")
    done = _git(part, "checkout", "--quiet", commit)
    if done.returncode:
        raise UserError(f"{shown}: commit {commit} cannot be checked out: {_reason(done)}")


def sparse_patterns(folders: Sequence[str]) -> List[str]:
    """Patterns for git's sparse checkout: the files of the top level, and these folders whole."""
    patterns = ["/*", "!/*/"]
    for folder in folders:
        parts = folder.strip("/").split("/")
        for depth in range(1, len(parts)):
            patterns += [f"/{'/'.join(parts[:depth])}/", f"!/{'/'.join(parts[:depth])}/*/"]
        patterns.append(f"/{'/'.join(parts)}/")
    return patterns


def _git(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_DIR") and name not in (
        "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_NAMESPACE")}
    return subprocess.run(["git", "-C", str(folder), *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, errors="replace",
                          env={**kept, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"})


def _reason(done: "subprocess.CompletedProcess[str]") -> str:
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip() and not line.startswith("warning")]
    first = next((line for line in lines if line.startswith(("fatal", "error"))), lines[0] if lines else "")
    return re.sub(r"//[^/@\s]*@", "//", re.sub(r"^(fatal|error): ", "", first)) or f"git ended with {done.returncode}"


def _replace(folder: Path, part: Path) -> None:
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def environment(model_folder: files.PathLike, folder: files.PathLike) -> Dict[str, str]:
    """The environment of a process that can import the model's modules, `common`, and the upstream's code."""
    model_folder, folder = Path(model_folder).resolve(), Path(folder).resolve()
    place = folder / facts.load(model_folder).upstream.get("python", ".")
    paths = [str(model_folder), os.environ.get("PYTHONPATH", ""), str(Path(__file__).resolve().parents[2]), str(place)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path), "UPSTREAM": str(place),
            "PYTHONDONTWRITEBYTECODE": "1"}


def load_file(name: str) -> ModuleType:
    """A module of the upstream by its file, for one that has the name of ours. Only in a process of `environment`."""
    path = Path(os.environ["UPSTREAM"]) / name
    spec = importlib.util.spec_from_file_location(f"upstream_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def fill(theirs: "torch.nn.Module", ours: "torch.nn.Module") -> "torch.nn.Module":
    """Give the upstream's network the weights of ours, strictly, and set it to evaluation mode."""
    try:
        theirs.load_state_dict(ours.state_dict(), strict=True)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise UserError(f"the checkpoint does not fit the upstream's network, which has one width: {lines[-1]} "
                        "Export it from the built-in network, without SOURCE=upstream") from error
    return theirs.eval()


def trace(network: "torch.nn.Module", example: Sequence["torch.Tensor"], path: files.PathLike,
          options: Mapping[str, Any]) -> str:
    """As `common.convert.trace`, for the upstream's twin of `network`. Gives back the repository and commit it came from."""
    import torch
    model_folder = Path(inspect.getfile(type(network))).resolve().parent
    model, folder = facts.load(model_folder), model_folder / "build/upstream"
    if held(folder) != pinned(model_folder):
        raise UserError(f"SOURCE=upstream: {folder} does not hold commit {model.upstream['commit'][:10]} with this "
                        "folder's diffs; run `make upstream` first")
    request = io.BytesIO()
    torch.save({"network": network, "example": tuple(example), "options": dict(options)}, request)
    done = subprocess.run([sys.executable, "-m", "common.convert.upstream", "trace", "--model", str(model_folder),
                           str(Path(path).resolve())], cwd=model_folder, env=environment(model_folder, folder),
                          input=request.getvalue(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        said = done.stderr.decode("utf-8", errors="replace").splitlines()
        last = ([line for line in said if line.strip()] or [f"status {done.returncode}"])[-1]
        raise UserError(f"the upstream's network cannot be exported: {re.sub('^error: ', '', last)}")
    return f"{model.upstream['repository']}@{model.upstream['commit']}"


def _trace_here(model_folder: files.PathLike, path: files.PathLike) -> None:
    import torch

    from common.convert import trace as tracing
    # what is more than weights may run code when it is loaded: it comes from the process that started this one, through
    # a pipe, and never from a file, which a stranger may have written
    if not stat.S_ISFIFO(os.fstat(0).st_mode):
        raise UserError("trace is what an export with SOURCE=upstream starts, with a pipe; not for use by hand")
    asked_for = torch.load(io.BytesIO(sys.stdin.buffer.read()), weights_only=False)
    module = importlib.import_module(facts.load(model_folder).network)
    with torch.no_grad():
        theirs = module.from_upstream(asked_for["network"])
    tracing.write(theirs, asked_for["example"], path, asked_for["options"])


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.convert.upstream", description=errors.first_line(__doc__))
    verbs = parser.add_subparsers(dest="verb", required=True)
    fetcher = verbs.add_parser("fetch", help="fetch the pinned commit and apply the diffs")
    fetcher.add_argument("--model", default=".", help="the model's folder (default: here)")
    fetcher.add_argument("--url", default="", help="a mirror or a clone's folder (default: the upstream's own)")
    tracer = verbs.add_parser("trace", help="what an export with SOURCE=upstream starts; not for use by hand")
    tracer.add_argument("--model", required=True)
    tracer.add_argument("path")
    args = parser.parse_args(argv)
    if args.verb == "trace":
        _trace_here(args.model, args.path)
        return
    folder = Path(args.model) / "build/upstream"
    new = fetch(args.model, folder, args.url)
    now = pinned(args.model)
    print(f"{folder}: {facts.load(args.model).upstream['repository']} at {now['commit'][:10]} with "
          f"{', '.join(now['diffs'])}{'' if new else ' (was there already)'}")


if __name__ == "__main__":
    errors.run(main)
