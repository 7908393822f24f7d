from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys

import pytest

from common.base import files
from common.base.errors import UserError
from conftest import environment, one_line_error


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(RuntimeError):
        with files.atomic(tmp_path / "a.json") as temporary:
            temporary.write_text("half")
            raise RuntimeError
    assert (tmp_path / "a.json").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


def test_a_reader_never_sees_the_file_before_it_is_whole(tmp_path):
    with files.atomic(tmp_path / "a.bin") as temporary:
        temporary.write_bytes(b"12")
        assert not (tmp_path / "a.bin").exists()
        assert temporary.parent == tmp_path and temporary.name.startswith(".") and temporary.suffix == ".bin"
    assert (tmp_path / "a.bin").read_bytes() == b"12"


def test_missing_folders_are_made(tmp_path):
    files.write_text(tmp_path / "x/y/z.txt", "ü\n")
    assert (tmp_path / "x/y/z.txt").read_bytes() == "ü\n".encode()


def test_a_folder_in_the_way_of_the_file_is_a_user_error(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        files.write_text(tmp_path / "a/b.txt", "text")


def test_a_folder_without_write_permission_is_a_user_error():
    with pytest.raises(UserError, match="cannot be written"):  # nobody, root included, may make files there
        files.write_text("/proc/b.txt", "text")


def test_an_oserror_about_another_file_keeps_its_own_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="elsewhere"):
        with files.atomic(tmp_path / "a"):
            open(tmp_path / "elsewhere")


def test_json_refuses_nan_and_leaves_nothing(tmp_path):
    with pytest.raises(UserError, match="NaN"):
        files.write_json(tmp_path / "a.json", {"value": float("nan")})
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("content, part", [(None, "no such file"), ("{", "is not JSON"), (b"\xff\xfe", "is not JSON")])
def test_unreadable_json_is_a_user_error(tmp_path, content, part):
    if content is not None:
        (tmp_path / "a.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=part):
        files.read_json(tmp_path / "a.json", {})


def test_checksum_is_sha256_of_the_bytes(tmp_path):
    content = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(content)
    assert files.sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_too_little_disk_names_need_and_remedy(tmp_path):
    with pytest.raises(UserError, match=r"needs 1000\.0 PB|needs 1000000\.0 TB.*are free.*LIMIT"):
        files.need_space(tmp_path / "not/yet/there", 10 ** 18)
    files.need_space(tmp_path, 1)


@pytest.mark.parametrize("count, text", [(0, "0 B"), (999, "999 B"), (301_989_888, "302.0 MB"), (4.6e11, "460.0 GB")])
def test_sizes_are_written_in_powers_of_1000(count, text):
    assert files.size(count) == text


SCRIPT = "from common.base import errors\ndef main(argv=None):\n    {}\nerrors.run(main)"


@pytest.mark.parametrize("body, status, text", [
    ("raise errors.UserError('a.bin: is\\n  broken')", 1, "error: a.bin: is broken\n"),
    ("open('/nowhere/file')", 1, "error: /nowhere/file: No such file or directory\n"),
    ("raise KeyboardInterrupt", 130, None), ("return 3", 3, ""), ("pass", 0, "")])
def test_exit_status_and_message_of_a_script(body, status, text):
    result = subprocess.run([sys.executable, "-c", SCRIPT.format(body)], capture_output=True, text=True,
                            env=environment())
    assert result.returncode == status
    assert text is None or result.stderr == text
    if text is None:
        one_line_error(result, "interrupted", status=130)


def test_a_reader_that_goes_away_ends_a_script_quietly():
    command = f"{shlex.quote(sys.executable)} -c \"{SCRIPT.format('[print(i) for i in range(10**5)]')}\" | head -n 1"
    result = subprocess.run(command, shell=True, capture_output=True, text=True, env=environment())
    assert result.stdout == "0\n" and result.stderr == ""


def test_what_a_script_writes_the_group_cannot_write_whatever_the_umask(run, tmp_path):
    """ais_bench refuses such input since 2023-09."""
    before = os.umask(0o002)
    try:
        assert run("-m", "common.data.demo.pictures", tmp_path / "demo", "--count", "1").returncode == 0
    finally:
        os.umask(before)
    made = [tmp_path / "demo", *(tmp_path / "demo").rglob("*")]
    assert len(made) > 2 and not [path for path in made if path.stat().st_mode & 0o022]


def test_a_link_is_written_through_and_a_device_or_pipe_refused(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there/file")
    for text in ("one", "two"):  # a link to nothing yet, then to a file
        files.write_text(tmp_path / "link", text)
        assert (tmp_path / "link").is_symlink() and (tmp_path / "there/file").read_text() == text
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    for name in ("pipe", "null"):
        with pytest.raises(UserError, match="expected a file or nothing there, found a device, pipe or socket"):
            files.write_text(tmp_path / name, "x")
    assert (tmp_path / "pipe").is_fifo() and not os.path.isfile("/dev/null")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "null", "pipe", "there"]


def test_a_module_that_only_claims_a_file_is_not_used(tmp_path, run):
    """As torch.classes does, whose `__file__` is relative: in a model's folder it would be that folder's."""
    (tmp_path / "facts.json").write_text("{}")
    result = run("-c", "import sys, types; from common.base import uses; one = types.ModuleType('one'); "
                 "one.__file__ = '_classes.py'; sys.modules['one'] = one; uses.digest(); print(uses.used())", cwd=tmp_path)
    assert result.returncode == 0 and "_classes" not in result.stdout, result.stderr
