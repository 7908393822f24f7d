"""The preprocessing fingerprint: what changes it, and what it says then."""
from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from common.data import fingerprint
from conftest import MODELS, ROOT, one_line_error


def resized(image, how=Image.BICUBIC, size=(64, 32), mean=100.0, scale=1.0):
    """A preprocess as IntraDA's: float32 [1, 3, H, W], BGR."""
    small = np.asarray(Image.fromarray(image).resize(size, how), np.float32)
    return ((small[..., ::-1] - mean) * scale).transpose(2, 0, 1)[None].astype(np.float32)


IMAGE = fingerprint.picture(128, 256)
STORED = fingerprint.statistics(resized(IMAGE))


def said(tensor):
    return fingerprint.explain(STORED, fingerprint.statistics(tensor))


def test_the_made_up_picture_never_changes():
    digest = hashlib.sha256(fingerprint.picture(90, 120).tobytes()).hexdigest()
    assert digest == "ea9892032bcbcfe5e36bc8d50467bc310ee18cf19bd18fe2f348358a533db82d"
    means = IMAGE.reshape(-1, 3).mean(0)
    assert means[0] > means[1] + 5 > means[2] + 10  # so that swapped channels show


def test_the_same_preprocessing_agrees():
    assert said(resized(IMAGE)) is None


@pytest.mark.parametrize("changed, part", [
    (resized(IMAGE, scale=1 / 255), "a division by 255 was added"),
    (resized(IMAGE, scale=255), "a division by 255 was lost"),
    (resized(IMAGE)[:, ::-1], "RGB and BGR were swapped"),
    (resized(IMAGE, Image.BILINEAR), "another resize filter"),
    (resized(IMAGE, Image.NEAREST), "another resize filter"),
    (resized(IMAGE, Image.LANCZOS), "another resize filter"),
    (resized(IMAGE, mean=0.0), "another mean is subtracted, or none"),
    (resized(IMAGE, size=(32, 64)), "its shape is [1, 3, 64, 32], it was [1, 3, 32, 64]"),
    (resized(IMAGE).astype(np.float64), "its dtype is float64"),
    (resized(IMAGE)[:, :, ::-1], "values"), (resized(IMAGE, scale=1.05), "spread 1.05 times as wide"),
    (np.where(resized(IMAGE) > 90, np.nan, resized(IMAGE)), "nan"),
], ids=["/255 added", "/255 lost", "channels", "bilinear", "nearest", "lanczos", "mean", "size", "dtype", "flipped",
        "scaled", "NaN"])
def test_a_change_is_told_apart(changed, part):
    found = said(changed.astype(changed.dtype))
    assert found and part in found


def test_opencvs_filter_of_the_same_name_is_another():
    small = cv2.resize(IMAGE, (64, 32), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    assert "another resize filter" in said((small[..., ::-1] - 100).transpose(2, 0, 1)[None])


def test_rounding_by_one_in_255_here_and_there_is_allowed():
    tensor = resized(IMAGE)
    tensor[np.random.default_rng(0).random(tensor.shape) < 0.02] += 1
    assert said(tensor) is None


@pytest.mark.parametrize("name", MODELS)
def test_every_models_preprocessing_is_as_stored_and_checked_without_torch(name, run):
    result = run("-X", "importtime", "-m", "common.data.fingerprint", "check", cwd=ROOT / name)
    assert result.returncode == 0, result.stderr
    assert "preprocessing is as stored" in result.stdout and "torch" not in result.stderr


@pytest.mark.parametrize("name, script, old, new, part", [
    ("UNetPlusPlus", "preprocess_nested_unet.py", "np.float32) / 255\n", "np.float32)\n",
     "a division by 255 was lost"),
    ("UNetPlusPlus", "preprocess_nested_unet.py", "cv2.INTER_LINEAR", "cv2.INTER_AREA", "another resize filter"),
    ("IntraDA", "intrada_preprocess.py", "Image.BICUBIC", "Image.BILINEAR", "another resize filter"),
    ("IntraDA", "intrada_preprocess.py", "[::-1][None].astype", "[None].astype", "has changed"),
    ("EDSR", "edsr_preprocess.py", "image.transpose(2, 0, 1)", "image[..., ::-1].transpose(2, 0, 1)", "swapped"),
    ("Pix2pixHD", "pix2pixhd_preprocess.py", "planes[0, count] = edge", "planes[0, count] = 0", "has changed"),
    ("CGAN", "CGAN_preprocess.py", ".random((noises", ".standard_normal((noises", "has changed")])
def test_a_script_that_was_changed_stops_with_an_explanation(tmp_path, run, name, script, old, new, part):
    for path in ROOT.joinpath(name).iterdir():
        if path.is_file():
            shutil.copy(path, tmp_path / path.name)
    text = (tmp_path / script).read_text()
    assert text.count(old) == 1
    (tmp_path / script).write_text(text.replace(old, new))
    result = run("-m", "common.data.fingerprint", "check", cwd=tmp_path)
    one_line_error(result, "preprocessing has changed", part, "python3 -m common.data.fingerprint write")
    assert run("-m", "common.data.fingerprint", "write", cwd=tmp_path).returncode == 0
    assert run("-m", "common.data.fingerprint", "check", cwd=tmp_path).returncode == 0


def test_a_fingerprint_that_is_missing_or_broken_is_one_line(tmp_path, run):
    one_line_error(run("-m", "common.data.fingerprint", "check", cwd=tmp_path), "fingerprint.json: no such file")
    one_line_error(run("-m", "common.data.fingerprint", "write", cwd=tmp_path), "give --function and --picture")
    for content in ('{"picture": [4, 4]}', "[]", "{"):
        (tmp_path / "fingerprint.json").write_text(content)
        one_line_error(run("-m", "common.data.fingerprint", "check", cwd=tmp_path), "fingerprint.json: ")


@pytest.mark.parametrize("name", MODELS)
def test_the_stored_file_says_what_it_is_of(name):
    stored = json.loads(Path(ROOT / name / "fingerprint.json").read_text())
    assert (ROOT / name / (stored["function"].partition(".")[0] + ".py")).is_file() and len(stored["values"]) == 16
