"""The five networks: the upstreams' names and shapes, variants read off a checkpoint, errors, ONNX."""
from __future__ import annotations

import gzip
import json
import os
import re
from pathlib import Path
from typing import Any, Callable, Dict, Tuple

import numpy as np
import pytest
import torch
from torch.nn import functional

import CGAN
import deeplabv2
import edsr
import local_enhancer
import nested_unet
from common.base.errors import UserError
from common.convert import checkpoint, trace

SHARED = Path(os.environ.get("SHARED", Path(__file__).resolve().parents[2] / "shared"))

REFERENCE: Dict[str, Callable[[], torch.nn.Module]] = {
    "EDSR": edsr.EDSR, "CGAN": CGAN.Generator, "IntraDA": deeplabv2.DeepLabV2,
    "UNetPlusPlus": nested_unet.NestedUNet, "Pix2pixHD": local_enhancer.LocalEnhancer}

SMALL = {  # light networks of the reference's structure
    CGAN: dict(hidden=16, wide=8, narrow=4),
    deeplabv2: dict(blocks=(1, 2, 1, 1), widths=(4, 4, 6, 8, 10)),
    nested_unet: dict(filters=(4, 6, 8, 10, 12)),
    local_enhancer: dict(ngf=2, downsamplings=2, global_blocks=2, local_blocks=2)}

VARIANTS = [  # module, what differs, input shape, output shape
    (CGAN, dict(), (5, 72), (5, 3, 28, 28)),
    (CGAN, dict(channels=1), (5, 72), (5, 1, 28, 28)),
    (CGAN, dict(latent=100, side=32), (2, 110), (2, 3, 32, 32)),
    (deeplabv2, dict(), (1, 3, 64, 128), (1, 19, 9, 17)),
    (deeplabv2, dict(classes=7, blocks=(3, 4, 6, 3), multi_level=False), (2, 3, 65, 64), (2, 7, 9, 9)),
    (nested_unet, dict(), (2, 3, 32, 48), (2, 1, 32, 48)),
    (nested_unet, dict(classes=4, channels=1, deep_supervision=True), (1, 1, 32, 32), (1, 4, 32, 32)),
    (nested_unet, dict(filters=(3, 5, 7)), (1, 3, 8, 8), (1, 1, 8, 8)),
    (local_enhancer, dict(), (1, 36, 32, 48), (1, 3, 32, 48)),
    (local_enhancer, dict(channels=20, outputs=1, ngf=3, downsamplings=3, global_blocks=1, local_blocks=1),
     (1, 20, 64, 64), (1, 1, 64, 64))]


def name(value: Any) -> str:
    return getattr(value, "__name__", None) or ("-".join(value) or "small" if isinstance(value, dict) else "")


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def shared(path: str) -> Path:
    if not (SHARED / path).exists():
        pytest.skip(f"{SHARED / path} is not here (set SHARED to the folder that has it)")
    return SHARED / path


def run(network: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return network(x)


def example(shape: Tuple[int, ...], seed: int = 5) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("model", REFERENCE)
def test_names_and_shapes_are_the_upstreams(model: str) -> None:
    expected = json.loads(shared(f"facts/{model}.json").read_text())
    with torch.device("meta"):
        state = REFERENCE[model]().state_dict()
    assert {key: list(value.shape) for key, value in state.items()} == expected


@pytest.mark.parametrize("module, change, before, after", VARIANTS, ids=name)
def test_variant_is_read_off_the_checkpoint(module: Any, change: Dict[str, Any], before: Tuple[int, ...],
                                            after: Tuple[int, ...]) -> None:
    network = module.seeded(3, **{**SMALL[module], **change})
    rebuilt = module.from_state(network.state_dict())
    assert not rebuilt.training
    x = example(before)
    assert run(rebuilt, x).shape == after
    assert torch.equal(run(rebuilt, x), run(network, x))


@pytest.mark.parametrize("module", SMALL, ids=name)
def test_half_precision_without_counts_of_batches_is_accepted(module: Any) -> None:
    state = {key: value.half() for key, value in module.seeded(**SMALL[module]).state_dict().items()
             if not key.endswith("num_batches_tracked")}
    network = module.from_state(state)
    assert {value.dtype for key, value in network.state_dict().items() if "num_batches" not in key} == {torch.float32}


WRONG = [  # module, tensor, wrong shape, expected shape
    (CGAN, "fc.0.weight", [15, 72], [16, 72]), (CGAN, "fc.3.weight", [400, 16], [392, 16]),
    (CGAN, "deconv.0.weight", [8, 4, 3, 3], [8, 4, 4, 4]), (CGAN, "deconv.3.weight", [4, 1, 4, 4], [4, 3, 4, 4]),
    (deeplabv2, "conv1.weight", [5, 3, 7, 7], [4, 3, 7, 7]),
    (deeplabv2, "layer2.1.bn2.running_mean", [7], [6]),
    (deeplabv2, "layer6.conv2d_list.3.weight", [19, 40, 1, 1], [19, 40, 3, 3]),
    (nested_unet, "conv0_0.conv1.weight", [5, 3, 3, 3], [4, 3, 3, 3]),
    (nested_unet, "conv1_2.conv1.weight", [6, 12, 3, 3], [6, 20, 3, 3]),
    (nested_unet, "final.weight", [1, 5, 1, 1], [1, 4, 1, 1]),
    (local_enhancer, "model.1.weight", [4, 36, 3, 3], [4, 36, 7, 7]),
    (local_enhancer, "model.11.conv_block.5.bias", [3], [16]),
    (local_enhancer, "model1_2.1.conv_block.1.weight", [4, 4, 1, 1], [4, 4, 3, 3])]


@pytest.mark.parametrize("module, tensor, wrong, right", WRONG, ids=name)
def test_wrong_shape_is_named_with_expected_and_found(module: Any, tensor: str, wrong: Any, right: Any) -> None:
    state = module.seeded(**SMALL[module]).state_dict()
    assert list(state[tensor].shape) == right
    state[tensor] = torch.zeros(wrong)
    with pytest.raises(UserError, match=re.escape(f"{tensor}: expected {right}, found {wrong}")):
        module.from_state(state)


@pytest.mark.parametrize("module", SMALL, ids=name)
def test_missing_and_surplus_tensors_are_named(module: Any) -> None:
    state = module.seeded(**SMALL[module]).state_dict()
    missing = [key for key in state if key.endswith("weight")][-2]
    without = {key: value for key, value in state.items() if key != missing}
    with pytest.raises(UserError, match=re.escape(missing)):
        module.from_state(without)
    with pytest.raises(UserError, match="surplus: expected no such tensor"):
        module.from_state({**state, "surplus": torch.ones(1)})


@pytest.mark.parametrize("module", SMALL, ids=name)
def test_checkpoint_of_another_network_is_refused(module: Any) -> None:
    other = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Linear(4, 4)).state_dict()
    with pytest.raises(UserError, match="found none"):
        module.from_state(other)


@pytest.mark.parametrize("module", SMALL, ids=name)
def test_seeded_weights_repeat_and_give_pictures_that_vary(module: Any) -> None:
    one, same, other = (module.seeded(seed, **SMALL[module]) for seed in (1, 1, 2))
    if module is CGAN:
        x = torch.cat([example((8, 62)), torch.eye(10)[:8]], 1)
    else:
        channels = {local_enhancer: 36}.get(module, 3)
        scale = {deeplabv2: 80.0, nested_unet: 1 / 255}.get(module, 1.0)
        x = functional.interpolate(example((1, channels, 6, 8)), size=(64, 96), mode="bilinear") * scale
    y = run(one, x)
    assert torch.equal(y, run(same, x)) and not torch.allclose(y, run(other, x), atol=1e-2)
    assert bool(torch.isfinite(y).all()) and y.abs().max() < 1e3
    assert y.std((2, 3)).min() > 1e-2  # no channel is flat
    if module is nested_unet:
        assert 0.02 < (y > 0).float().mean() < 0.98  # a mask with something in it and something beside it


def test_cgan_refuses_a_checkpoint_without_room_for_noise() -> None:
    state = CGAN.seeded(**SMALL[CGAN]).state_dict()
    with pytest.raises(UserError, match=re.escape("fc.0.weight: expected more than 72 inputs")):
        CGAN.from_state(state, classes=72)


def test_deeplab_gives_the_second_of_its_two_outputs_unless_both_are_wanted() -> None:
    state = deeplabv2.seeded(**SMALL[deeplabv2]).state_dict()
    x = example((1, 3, 65, 65)) * 100
    auxiliary, main = run(deeplabv2.from_state(state, both_outputs=True), x)
    assert torch.equal(run(deeplabv2.from_state(state), x), main)
    state = {key: value * 0 if key.startswith("layer5.") else value for key, value in state.items()}
    changed, unchanged = run(deeplabv2.from_state(state, both_outputs=True), x)
    assert torch.equal(unchanged, main)
    assert not changed.any() and auxiliary.any()
    with pytest.raises(UserError, match="layer5"):
        deeplabv2.from_state({key: value for key, value in state.items() if not key.startswith("layer5.")}, True)


def test_deeplab_puts_out_65_by_129_for_512_by_1024() -> None:
    tiny = deeplabv2.seeded(blocks=(1, 1, 1, 1), widths=(1, 1, 1, 1, 1))
    assert run(tiny, torch.zeros(1, 3, 512, 1024)).shape == (1, 19, 65, 129)


def test_deeplab_classifier_sums_branches_of_dilation_6_12_18_24() -> None:
    classifier = deeplabv2.Classifier(1, 1)
    for branch in classifier.conv2d_list:
        torch.nn.init.ones_(branch.weight)
        torch.nn.init.zeros_(branch.bias)
    impulse = torch.zeros(1, 1, 49, 49)
    impulse[0, 0, 24, 24] = 1
    expected = np.zeros((49, 49))
    for rate in (6, 12, 18, 24):
        expected[24 - rate:25 + rate:rate, 24 - rate:25 + rate:rate] += 1
    assert np.array_equal(run(classifier, impulse)[0, 0].numpy(), expected)


def test_deeplab_stages_have_advents_strides_and_dilations() -> None:
    network = deeplabv2.seeded(**SMALL[deeplabv2], multi_level=False)
    stages = [getattr(network, f"layer{number}") for number in (1, 2, 3, 4)]
    assert [stage[0].conv1.stride[0] for stage in stages] == [1, 2, 1, 1]
    assert [{block.conv2.dilation[0] for block in stage} for stage in stages] == [{1}, {1}, {2}, {4}]
    assert {block.conv2.stride for stage in stages for block in stage} == {(1, 1)}


def test_pix2pixhd_pyramid_averages_only_what_lies_inside_the_picture() -> None:
    network = local_enhancer.seeded(**SMALL[local_enhancer])
    assert torch.equal(network.downsample(torch.ones(1, 36, 8, 8)), torch.ones(1, 36, 4, 4))


def test_deep_supervision_gives_the_last_head() -> None:
    state = nested_unet.seeded(**SMALL[nested_unet], deep_supervision=True).state_dict()
    x = example((1, 3, 32, 32)) / 255
    expected = run(nested_unet.from_state(state), x)
    last = {key: value * (0 if re.match(r"final[123]\.", key) else 1) for key, value in state.items()}
    assert torch.equal(run(nested_unet.from_state(last), x), expected)
    others = {key: value * (0 if key.startswith("final4.") else 1) for key, value in state.items()}
    assert not run(nested_unet.from_state(others), x).any()


@pytest.mark.parametrize("kind", ["native", "slice"])
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("height, width", [(4, 4), (5, 7), (8, 5), (9, 16)])
def test_padding_equals_numpys_reflection(kind: str, size: int, height: int, width: int) -> None:
    x = example((2, 3, height, width))
    expected = np.pad(x.numpy(), ((0, 0), (0, 0), (size, size), (size, size)), mode="reflect")
    assert np.array_equal(local_enhancer.pad(size, kind)(x).numpy(), expected)


def test_generator_with_sliced_padding_gives_the_very_same_image() -> None:
    state = local_enhancer.seeded(**SMALL[local_enhancer]).state_dict()
    x = (example((1, 36, 24, 40)) > 0.8).float()
    assert torch.equal(run(local_enhancer.from_state(state), x),
                       run(local_enhancer.from_state(state, reflect_pad="slice"), x))


EXPORTS = [  # module, options, input, dynamic batch, the operators that the graph may hold
    (CGAN, dict(), (3, 72), False,
     "Gemm BatchNormalization Relu Constant Reshape ConvTranspose Tanh"),
    (deeplabv2, dict(), (1, 3, 64, 64), True, "Conv Relu MaxPool Add"),
    (nested_unet, dict(), (1, 3, 32, 32), True, "Conv Relu MaxPool Constant Resize Concat"),
    (nested_unet, dict(deep_supervision=True), (1, 3, 32, 32), True, "Conv Relu MaxPool Constant Resize Concat"),
    (local_enhancer, dict(), (1, 36, 32, 64), False,
     "Conv ConvTranspose InstanceNormalization Relu AveragePool Add Tanh Constant Pad"),
    (local_enhancer, dict(reflect_pad="slice"), (1, 36, 32, 64), False,
     "Conv ConvTranspose InstanceNormalization Relu AveragePool Add Tanh Constant Slice Concat")]


@pytest.mark.parametrize("module, options, shape, dynamic, operators", EXPORTS, ids=name)
def test_export_is_opset_11_of_plain_operators_and_computes_the_same(
        module: Any, options: Dict[str, Any], shape: Tuple[int, ...], dynamic: bool, operators: str,
        tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    onnxruntime = pytest.importorskip("onnxruntime")
    network = module.seeded(**{**SMALL[module], **options})
    path = str(tmp_path / "network.onnx")
    trace.write(network, (torch.zeros(shape),), path, {
        "input_names": ["x"], "output_names": ["y"],
        "dynamic_axes": {"x": {0: "N"}, "y": {0: "N"}} if dynamic else None})
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 11)]
    assert {node.op_type for node in model.graph.node} <= set(operators.split())
    resize = {(attribute.name, attribute.s) for node in model.graph.node if node.op_type == "Resize"
              for attribute in node.attribute}
    assert module is not nested_unet or (("mode", b"nearest") in resize and ("mode", b"linear") not in resize)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    scale = {nested_unet: 1 / 255, deeplabv2: 80.0}.get(module, 1.0)
    for batch in [1, 2] if dynamic else [shape[0]]:
        x = example((batch, *shape[1:])) * scale
        y = session.run(None, {"x": x.numpy()})[0]
        expected = run(network, x).numpy()
        assert y.shape == expected.shape
        assert np.abs(y - expected).max() <= 1e-4 * max(1.0, np.abs(expected).max())


def test_trained_nested_unet_finds_the_nuclei() -> None:
    cv2 = pytest.importorskip("cv2")
    network = nested_unet.from_state(checkpoint.load(shared("weights/nested_unet.pth")))
    data = shared("data/dsb2018_96")
    scores = []
    for sample in (data / "val_ids.txt").read_text().split()[::8]:
        image = cv2.imread(str(data / "images" / f"{sample}.png")).astype(np.float32) / 255
        image = (image - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225]) / 255
        truth = cv2.imread(str(data / "masks/0" / f"{sample}.png"), cv2.IMREAD_GRAYSCALE) > 127
        found = run(network, torch.from_numpy(image.transpose(2, 0, 1)[None].astype(np.float32)))[0, 0].numpy() > 0
        scores.append((np.sum(found & truth) + 1e-5) / (np.sum(found | truth) + 1e-5))
    assert np.mean(scores) > 0.8  # 0.8402 over all 134, as its training measured


def test_trained_cgan_draws_the_digit_that_its_label_says() -> None:
    network = CGAN.from_state(checkpoint.load(shared("weights/CGAN_G.pth")))
    labels = np.frombuffer(gzip.open(shared("data/mnist/t10k-labels-idx1-ubyte.gz")).read(), np.uint8)[8:]
    images = np.frombuffer(gzip.open(shared("data/mnist/t10k-images-idx3-ubyte.gz")).read(), np.uint8)[16:]
    images = images.reshape(-1, 28, 28).astype(np.float32) / 255
    means = np.stack([images[labels == digit].mean(0) for digit in range(10)]).reshape(10, -1)
    noise = example((10, 62)).repeat_interleave(10, 0)
    drawn = run(network, torch.cat([noise, torch.eye(10).repeat(10, 1)], 1)).mean(1).flatten(1).numpy() / 2 + 0.5
    nearest = ((drawn[:, None] - means[None]) ** 2).sum(2).argmin(1)
    assert np.mean(nearest == np.tile(np.arange(10), 10)) > 0.8  # by chance: 0.1


MODELS = {"EDSR": edsr, "CGAN": CGAN, "IntraDA": deeplabv2, "UNetPlusPlus": nested_unet, "Pix2pixHD": local_enhancer}


@pytest.fixture(scope="module")
def small() -> Dict[str, Dict[str, torch.Tensor]]:
    """A checkpoint of each model, by its demo."""
    root = Path(__file__).parents[1]
    return {folder: dict(checkpoint.load(root / folder / "demo.pth")) for folder in MODELS}


@pytest.mark.parametrize("spoil", ["0-d", "empty", "integer", "absent"])
@pytest.mark.parametrize("model", MODELS)
def test_each_spoilt_tensor_is_told_in_one_line_with_file_and_name(model: str, spoil: str, tmp_path: Path,
                                                                   small: Dict[str, Dict[str, torch.Tensor]]) -> None:
    path = tmp_path / "a.pth"
    for spoilt, value in list(small[model].items())[::7] + list(small[model].items())[-2:]:
        if not value.is_floating_point():
            continue
        state = {**small[model], spoilt: {"0-d": torch.tensor(1.0), "empty": value[:0], "integer": value.long(),
                                         "absent": value}[spoil]}
        if spoil == "absent":
            del state[spoilt]
        torch.save(state, path)
        with pytest.raises(UserError) as caught:
            MODELS[model].from_state(checkpoint.load(path))
        message = str(caught.value)
        assert message.startswith(f"{path}: ") and ": expected " in message and "\n" not in message, (spoilt, message)
        assert any(f" {each}: " in message for each in small[model]), (spoilt, message)


def test_pix2pixhd_of_pytorch_before_0_4_gives_the_same_network(small: Dict[str, Dict[str, torch.Tensor]]) -> None:
    network = local_enhancer.from_state(small["Pix2pixHD"])
    old = dict(small["Pix2pixHD"])
    for name, part in network.named_modules():
        if isinstance(part, torch.nn.InstanceNorm2d):
            old[f"{name}.running_mean"] = torch.zeros(part.num_features)
            old[f"{name}.running_var"] = torch.ones(part.num_features)
    assert len(old) > len(small["Pix2pixHD"])
    loaded = local_enhancer.from_state(old).state_dict()
    assert list(loaded) == list(network.state_dict())
    assert all(torch.equal(loaded[name], value) for name, value in network.state_dict().items())


def test_edsr_trained_on_0_to_1_computes_the_same_on_0_to_255() -> None:
    """Each bias divided by 255 is the same function on pictures divided by 255."""
    ours = edsr.seeded(blocks=2, features=8)
    state = {name: value / 255 if name.endswith("bias") else value for name, value in ours.state_dict().items()}
    network = edsr.from_state(state)
    picture = torch.rand(1, 3, 12, 12) * 255
    assert network.rgb_range == 1 and edsr.from_state(ours.state_dict()).rgb_range == 255
    with torch.no_grad():
        torch.testing.assert_close(network(picture), ours(picture), atol=1e-2, rtol=0)
    state["sub_mean.bias"] = torch.tensor([-3.0, -1.0, -2.0])
    with pytest.raises(UserError, match=r"sub_mean\.bias: expected minus the mean colour"):
        edsr.from_state(state)
