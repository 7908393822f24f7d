"""common/convert/checkpoint.py: what is loaded, what is refused and with which words, what is written."""
from __future__ import annotations

import hashlib
import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any, Dict

import pytest
import torch

from common.base.errors import UserError
from common.convert import checkpoint
from conftest import ROOT, one_line_error


def saved(path: Path, content: Any, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def refusal(path: Path, **options: Any) -> str:
    """The one line with which `load` refuses a file; it must start with the file's name."""
    with pytest.raises(UserError) as caught:
        checkpoint.load(path, **options)
    message = str(caught.value)
    assert "\n" not in message and message.startswith(str(path))
    return message


class Touch:
    """Unpickled by a careless reader, it makes a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


class TinyNetwork(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 4, 1)
        self.second = torch.nn.BatchNorm2d(4)


def tiny_state() -> Dict[str, torch.Tensor]:
    return {"first.weight": torch.full((4, 3, 1, 1), 2.0), "first.bias": torch.zeros(4),
            "second.weight": torch.ones(4), "second.bias": torch.zeros(4), "second.running_mean": torch.zeros(4),
            "second.running_var": torch.ones(4), "second.num_batches_tracked": torch.tensor(7)}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_plain_checkpoint_is_read_as_it_was_saved(tmp_path: Path, zipped: bool) -> None:
    path = saved(tmp_path / "a.pth", {"a.weight": torch.tensor([1.5, -2.0])}, _use_new_zipfile_serialization=zipped)
    state = checkpoint.load(path)
    assert list(state) == ["a.weight"] and state["a.weight"].tolist() == [1.5, -2.0]


@pytest.mark.parametrize("key", ["state_dict", "model", "params", "generator"])
def test_wrapped_checkpoint_is_unwrapped(tmp_path: Path, key: str) -> None:
    path = saved(tmp_path / "a.pth", {"epoch": 3, key: {"a": torch.ones(2)}, "optimizer": {"lr": 0.1}})
    assert list(checkpoint.load(path)) == ["a"]


def test_module_prefix_is_taken_off_only_where_all_names_have_it(tmp_path: Path) -> None:
    both = saved(tmp_path / "both.pth", {"module.a": torch.ones(1), "module.b": torch.ones(1)})
    one = saved(tmp_path / "one.pth", {"module.a": torch.ones(1), "b": torch.ones(1)})
    assert list(checkpoint.load(both)) == ["a", "b"]
    assert list(checkpoint.load(one)) == ["module.a", "b"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_every_float_becomes_float32_and_integers_stay(tmp_path: Path, dtype: torch.dtype) -> None:
    state = checkpoint.load(saved(tmp_path / "a.pth", {"a": torch.tensor([0.5]).to(dtype), "n": torch.tensor(3)}))
    assert state["a"].dtype == torch.float32 and state["a"].item() == 0.5
    assert state["n"].dtype == torch.int64


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    assert "nothing" in refusal(tmp_path / "absent.pth")
    assert "folder" in refusal(tmp_path)


def test_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    path.touch()
    assert "empty" in refusal(path)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_truncated_file_is_refused_as_damaged(tmp_path: Path, zipped: bool) -> None:
    path = saved(tmp_path / "a.pth", {"a": torch.ones(1000)}, _use_new_zipfile_serialization=zipped)
    path.write_bytes(path.read_bytes()[:-500])
    assert "damaged" in refusal(path)


def test_files_of_other_kinds_are_refused(tmp_path: Path) -> None:
    page, archive, script = (tmp_path / name for name in ("page.pth", "archive.pth", "script.pth"))
    page.write_text("<html>404 Not Found</html>")
    assert "no PyTorch checkpoint" in refusal(page)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "hello")
    assert "zip file of another kind" in refusal(archive)
    torch.jit.save(torch.jit.script(torch.nn.ReLU()), str(script))
    assert "TorchScript" in refusal(script)
    list_of_numbers = tmp_path / "list.pkl"
    list_of_numbers.write_bytes(pickle.dumps([1, 2, 3], protocol=2))
    assert "no PyTorch checkpoint" in refusal(list_of_numbers)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_unsafe_pickle_is_refused_and_not_executed(tmp_path: Path, kind: str) -> None:
    path, trace = tmp_path / "a.pth", tmp_path / "trace"
    if kind == "pickle":
        path.write_bytes(pickle.dumps({"a": Touch(trace)}))
    else:
        saved(path, {"a": Touch(trace)}, _use_new_zipfile_serialization=kind == "zip")
    message = refusal(path)
    assert "more than tensors" in message and "nothing in it was executed" in message
    assert not trace.exists()


def test_whole_network_instead_of_its_tensors_is_refused_by_its_class(tmp_path: Path) -> None:
    assert "torch.nn.modules.linear.Linear" in refusal(saved(tmp_path / "a.pth", torch.nn.Linear(2, 2)))


@pytest.mark.parametrize("content, found", [
    ({"a": 1}, "'a' with a int"), ({"a": torch.ones(1), "b": [1]}, "'b' with a list"),
    ([torch.ones(1)], "a list"), (torch.ones(1), "a Tensor"), ({}, "none"), ({"state_dict": {}}, "none"),
    ({1: torch.ones(1)}, "1 with a Tensor"), ({"a": torch.ones(2, device="meta")}, "a: ")],
    ids=["number", "list beside a tensor", "list", "tensor", "empty", "empty wrapper", "number as name", "meta tensor"])
def test_values_that_are_no_named_tensors_are_refused(tmp_path: Path, content: Any, found: str) -> None:
    assert found in refusal(saved(tmp_path / "a.pth", content))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weight_that_is_not_finite_is_refused_by_name(tmp_path: Path, value: float) -> None:
    message = refusal(saved(tmp_path / "a.pth", {"good": torch.ones(2), "bad.weight": torch.tensor([1.0, value])}))
    assert "bad.weight" in message and "good" not in message


def test_size_and_checksum_are_checked_before_anything_is_read(tmp_path: Path) -> None:
    path, trace = tmp_path / "a.pth", tmp_path / "trace"
    saved(path, {"a": Touch(trace)})
    size, sha256 = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    message = refusal(path, size=size + 1)
    assert str(size) in message and str(size + 1) in message
    message = refusal(path, size=size, sha256="0" * 64)
    assert sha256 in message and "0" * 64 in message
    good = saved(tmp_path / "good.pth", {"a": torch.ones(1)})
    digest = hashlib.sha256(good.read_bytes()).hexdigest()
    assert list(checkpoint.load(good, sha256=digest.upper(), size=good.stat().st_size)) == ["a"]


def test_fit_copies_the_tensors_and_sets_evaluation_mode() -> None:
    state = tiny_state()
    network = checkpoint.fit(TinyNetwork(), state)
    assert not network.training
    assert network.first.weight.flatten().tolist() == [2.0] * 12
    state["first.weight"].zero_()
    assert network.first.weight.flatten().tolist() == [2.0] * 12


def test_fit_fills_a_network_built_on_the_meta_device() -> None:
    with torch.device("meta"):
        network = TinyNetwork()
    assert {tensor.device.type for tensor in checkpoint.fit(network, tiny_state()).state_dict().values()} == {"cpu"}


def test_fit_widens_half_precision() -> None:
    network = checkpoint.fit(TinyNetwork(), {name: value.half() if value.is_floating_point() else value
                                             for name, value in tiny_state().items()})
    assert network.first.weight.dtype == torch.float32


def test_fit_does_without_the_count_of_batches() -> None:
    state = tiny_state()
    del state["second.num_batches_tracked"]
    assert checkpoint.fit(TinyNetwork(), state).second.num_batches_tracked.item() == 0


def test_fit_names_the_first_tensor_that_is_off_in_the_networks_order() -> None:
    state = tiny_state()
    state = {"second.bias": torch.zeros(9), **{name: state[name] for name in state if name != "second.bias"},
             "first.bias": torch.zeros(5)}
    with pytest.raises(UserError, match=re.escape("first.bias: expected [4], found [5]")):
        checkpoint.fit(TinyNetwork(), state)


def test_fit_names_a_missing_a_surplus_and_an_integer_tensor() -> None:
    state = tiny_state()
    with pytest.raises(UserError, match=re.escape("extra: expected no such tensor, found [2]")):
        checkpoint.fit(TinyNetwork(), {**state, "extra": torch.ones(2)})
    with pytest.raises(UserError, match=r"first\.bias: .*float32, found one of torch\.int64"):
        checkpoint.fit(TinyNetwork(), {**state, "first.bias": torch.zeros(4, dtype=torch.int64)})
    del state["second.weight"]
    with pytest.raises(UserError, match=re.escape("second.weight: expected [4], found no such tensor")):
        checkpoint.fit(TinyNetwork(), state)


def test_width_goes_with_the_majority_of_the_tensors() -> None:
    state = {"a": torch.ones(5), "b": torch.ones(8, 2), "c": torch.ones(8)}
    assert checkpoint.width(state, "a", "b", "c", "absent") == 8
    assert checkpoint.width(state, "b", axis=1) == 2
    with pytest.raises(UserError, match="absent: expected such a tensor, found none"):
        checkpoint.width(state, "absent")


def test_blocks_counts_up_to_the_highest_number_and_not_beyond_the_number_of_tensors() -> None:
    names = ["layer.0.a", "layer.2.a", "layer.x.a", "other.7.a"]
    assert checkpoint.blocks({name: torch.ones(1) for name in names}, "layer.") == 3
    assert checkpoint.blocks({"conv0_0.a": torch.ones(1), "conv1_0.a": torch.ones(1)}, "conv", "_0.") == 2
    assert checkpoint.blocks({"layer.99999.a": torch.ones(1)}, "layer.") == 1
    assert checkpoint.blocks({}, "layer.") == 0


def test_save_and_load_give_back_the_same_tensors(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.pth"
    checkpoint.save(checkpoint.fit(TinyNetwork(), tiny_state()), path)
    loaded = checkpoint.load(path)
    assert {name: value.tolist() for name, value in loaded.items()} == {
        name: value.tolist() for name, value in tiny_state().items()}


def test_save_writes_only_what_a_view_shows(tmp_path: Path) -> None:
    checkpoint.save({"a": torch.zeros(1_000_000)[:10]}, tmp_path / "a.pth")
    assert (tmp_path / "a.pth").stat().st_size < 10_000


def test_failed_save_leaves_the_earlier_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.pth"
    checkpoint.save({"a": torch.ones(1)}, path)
    before = path.read_bytes()

    def cut_off(state: Any, file: Any) -> None:
        file.write(b"half")
        raise RuntimeError("unexpected pos 704 vs 598")
    monkeypatch.setattr(torch, "save", cut_off)
    with pytest.raises(UserError, match="cannot be written"):
        checkpoint.save({"a": torch.zeros(1)}, path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.pth"]


@pytest.mark.parametrize("given, part", [
    ("widths=8,8", "--set widths: this network has none of that name; it has classes, channels, filters, deep_supervision"), ("seed=3", "has none of that name"),
    ("filters=8", "--set filters: expected 5 numbers, found 8"), ("filters=4,8", "expected 5 numbers, found 4,8"),
    ("classes=1,2", "--set classes: expected 1 number, found 1,2")])
def test_seeded_weights_of_other_widths_are_those_that_the_network_knows(given, part, tmp_path, run) -> None:
    one_line_error(run("-m", "common.convert.seed", "--output", tmp_path / "x.pth", "--set", given, cwd=ROOT / "UNetPlusPlus"), part)
    assert not list(tmp_path.iterdir())


def test_randomize_depends_on_the_seed_alone_and_sets_the_statistics_of_the_example() -> None:
    example = torch.linspace(5, 9, 2 * 3 * 16).view(2, 3, 4, 4)

    class Chain(TinyNetwork):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x))
    one, same, other = (checkpoint.randomize(Chain(), seed, example) for seed in (1, 1, 2))
    assert torch.equal(one.first.weight, same.first.weight) and not torch.equal(one.first.weight, other.first.weight)
    with torch.no_grad():
        assert torch.allclose(one.second.running_mean, one.first(example).mean((0, 2, 3)))
    assert not one.training


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "net.", "generator.", "module._orig_mod.",
                                    "model.module."])
def test_prefix_that_all_names_share_is_taken_off(tmp_path: Path, prefix: str) -> None:
    path = saved(tmp_path / "a.pth", {"state_dict": {prefix + name: value for name, value in tiny_state().items()}})
    assert list(checkpoint.load(path)) == list(tiny_state())


def test_weights_are_found_beside_an_empty_wrapper_and_under_an_unknown_key(tmp_path: Path) -> None:
    beside = {"state": {"step": 3}, "params": {"a": torch.ones(2)}}
    assert list(checkpoint.load(saved(tmp_path / "a.pth", beside))) == ["a"]
    assert list(checkpoint.load(saved(tmp_path / "b.pth", {"epoch": 3, "student": {"a": torch.ones(2)}}))) == ["a"]


def test_wrapper_inside_itself_is_refused_at_once(tmp_path: Path) -> None:
    content: Dict[str, Any] = {"epoch": 1}
    content["model"] = {"net": content}
    assert "dictionaries within dictionaries" in refusal(saved(tmp_path / "a.pth", content))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_giant_of_one_stored_value_is_refused_by_name_without_its_memory(tmp_path: Path, zipped: bool) -> None:
    giant = torch.ones(1).expand(1 << 40)
    path = saved(tmp_path / "a.pth", {"good": torch.ones(2), "big.weight": giant}, _use_new_zipfile_serialization=zipped)
    assert "big.weight: is a [1099511627776] of 4.4 TB" in refusal(path)


def test_many_views_of_one_stored_tensor_are_refused(tmp_path: Path) -> None:
    stored = torch.ones(1 << 18)
    path = saved(tmp_path / "a.pth", {f"a{number}": stored.view(-1) for number in range(100)})
    assert "with those before it" in refusal(path)


def test_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    plain, packed = saved(tmp_path / "a.pth", {"a": torch.zeros(1 << 20)}), tmp_path / "b.pth"
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert "unpack to 4.2 MB" in refusal(packed)


def test_checkpoint_of_zeros_is_refused_though_a_single_zero_tensor_is_not(tmp_path: Path) -> None:
    zeros = {name: torch.zeros_like(value) for name, value in tiny_state().items()}
    assert "first.weight: every value is 0" in refusal(saved(tmp_path / "a.pth", zeros))
    assert refusal(saved(tmp_path / "b.pth", {**zeros, "second.weight": torch.ones(4)}))  # BatchNorm's initial values
    assert checkpoint.load(saved(tmp_path / "c.pth", {**zeros, "first.weight": torch.ones(4, 3, 1, 1)}))
