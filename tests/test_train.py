"""The demo weights' training: the loop learns, averages and stores; each model's script runs and the model takes it."""
from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

from common.base.errors import UserError
from common.convert import checkpoint
from common.dev import train
from conftest import MODELS, ROOT, environment, one_line_error, shared


def test_the_loop_learns_and_gives_back_a_network_for_inference():
    """A linear layer finds the line y = 2x + 1."""
    torch.manual_seed(0)

    def loss(network, step):
        x = torch.rand(64, 1)
        return (network(x).float() - 2 * x - 1).square().mean()

    network = train.run(torch.nn.Linear(1, 1), loss, 800, 0.05, decay=0)
    assert not network.training
    assert network.weight.item() == pytest.approx(2, abs=0.05) and network.bias.item() == pytest.approx(1, abs=0.05)


def test_the_result_is_the_running_mean_of_the_weights():
    network, mean = torch.nn.BatchNorm1d(1), torch.nn.BatchNorm1d(1)
    for step, value in enumerate((2.0, 4.0)):
        torch.nn.init.constant_(network.weight, value)
        network.num_batches_tracked.fill_(step + 5)
        train.follow(mean, network, 0.75)
    assert mean.weight.item() == 0.75 * (0.75 * 1 + 0.25 * 2) + 0.25 * 4 and int(mean.num_batches_tracked) == 6


def test_a_loss_that_is_no_number_ends_the_training():
    with pytest.raises(UserError, match="the loss is nan at step 0; give another --seed"):
        train.run(torch.nn.Linear(1, 1), lambda network, step: network.weight.sum() * float("nan"), 3, 0.1)


def test_weights_are_stored_as_float16_with_what_made_them(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/some/where/train_demo.py", "--mnist", "/my data/mnist"])
    network = torch.nn.BatchNorm1d(3)
    train.store(network, tmp_path / "demo.pth", "two samples", argparse.Namespace(steps=7, seed=3), time.time() - 60)
    stored = torch.load(tmp_path / "demo.pth", weights_only=True)
    assert stored["weight"].dtype == torch.float16 and stored["num_batches_tracked"].dtype == torch.int64
    assert checkpoint.load(tmp_path / "demo.pth")["weight"].dtype == torch.float32
    about = json.loads((tmp_path / "demo.json").read_text())
    assert about["command"] == "python3 train_demo.py --mnist mnist" and about["trained_on"] == "two samples"
    assert (about["steps"], about["seed"], about["file"]) == (7, 3, "demo.pth") and about["seconds"] in (60, 61)
    assert about["machine"]["cpu"] and about["torch"] == torch.__version__


def test_weights_beyond_float16_are_refused_and_nothing_is_written(tmp_path):
    network = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(network.weight, 7e4)
    with pytest.raises(UserError, match="weight has a value beyond 65504"):
        train.store(network, tmp_path / "demo.pth", "", argparse.Namespace(steps=1, seed=0), time.time())
    assert list(tmp_path.iterdir()) == []


def script(model, *arguments, cwd):
    """One of the training scripts, two steps long."""
    env = environment(PYTHONPATH=f"{ROOT / model}{os.pathsep}{ROOT}")
    return subprocess.run([sys.executable, str(ROOT / model / "train_demo.py"), "--steps", "2", *map(str, arguments)],
                          cwd=cwd, env=env, capture_output=True, text=True, timeout=300)


def fits(model, folder):
    """The network that the model's scripts make of the trained checkpoint."""
    code = ("import sys; from common.convert import checkpoint; from common.convert.network import network_module\n"
            f"network = network_module({str(ROOT / model)!r}).from_state(checkpoint.load('demo.pth'))\n"
            "print(type(network).__name__)")
    env = environment(PYTHONPATH=f"{ROOT / model}{os.pathsep}{ROOT}")
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.full
@pytest.mark.parametrize("model, arguments", [("EDSR", ()), ("UNetPlusPlus", ()), ("IntraDA", ("--count", "2")),
                                              ("Pix2pixHD", ("--count", "2"))])
def test_each_script_trains_on_drawn_data_alone(model, arguments, tmp_path):
    result = script(model, *arguments, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert fits(model, tmp_path).returncode == 0
    assert "drawn" in json.loads((tmp_path / "demo.json").read_text())["trained_on"]


def test_the_digits_script_trains_on_mnist(tmp_path):
    result = script("CGAN", "--mnist", shared("data", "mnist"), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert fits("CGAN", tmp_path).stdout == "Generator\n"
    assert "MNIST" in json.loads((tmp_path / "demo.json").read_text())["trained_on"]


def test_bad_training_data_are_one_line(tmp_path):
    (tmp_path / "empty/images").mkdir(parents=True)
    one_line_error(script("CGAN", "--mnist", "empty", cwd=tmp_path), "empty", "MNIST's t10k-images-idx3-ubyte")
    one_line_error(script("UNetPlusPlus", "--dsb2018", "empty", cwd=tmp_path), "empty/images", "found none")
    one_line_error(script("EDSR", "--pictures", "nowhere", cwd=tmp_path), "nowhere", "found nothing")
    assert not (tmp_path / "demo.pth").exists()


def test_validation_images_are_not_trained_on(tmp_path):
    """Of three DSB2018 images, one of which val_ids.txt lists, two are used."""
    held_out = (ROOT / "UNetPlusPlus/val_ids.txt").read_text().split()[0]
    for name in (held_out, "a", "b"):
        for place, pixels in (("images", np.zeros((96, 96, 3), np.uint8)), ("masks/0", np.zeros((96, 96), np.uint8))):
            (tmp_path / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / place / f"{name}.png")
    code = ("import train_demo; from pathlib import Path\nprint(len(train_demo.real(Path('.'), 96)))")
    env = environment(PYTHONPATH=f"{ROOT / 'UNetPlusPlus'}{os.pathsep}{ROOT}")
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert result.stdout == "2\n", result.stderr


def test_training_streets_are_none_of_the_demos_and_are_kept(tmp_path, monkeypatch):
    from common.data.demo import streets
    seeds = []

    def drawn(generator):
        seeds.append(generator.integers(1 << 30))
        return np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint8), np.zeros((2, 2), np.uint16)

    monkeypatch.setattr(streets, "street", drawn)
    first = streets.training(tmp_path / "streets", 2)
    assert streets.training(tmp_path / "streets", 2) == first and len(seeds) == 2  # the second time none is drawn
    streets.write(tmp_path / "demo", 2, 0)
    assert len(set(seeds)) == 4 and all(path.is_file() for paths in first for path in paths)


def test_every_makefile_names_its_training_and_readme_tells_of_it():
    for model in MODELS:
        result = subprocess.run(["make", "-n", "-C", str(ROOT / model), "demo-weights", "DATASETS_PATH=x y"],
                                capture_output=True, text=True, env=environment())
        assert result.returncode == 0 and "train_demo.py" in result.stdout, result.stderr
        assert re.search(r"make demo-weights", (ROOT / model / "README.md").read_text()), model
