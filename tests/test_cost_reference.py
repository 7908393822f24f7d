"""The cost of the reference networks in facts.json: against PyTorch's own counter, and against their ONNX files."""
from __future__ import annotations

import onnx
import pytest
import torch

import CGAN
import deeplabv2
import edsr
import local_enhancer
import nested_unet
from common.base import facts
from common.convert import cost, trace
from conftest import ROOT

NETWORKS = {"EDSR": (edsr, edsr.EDSR), "CGAN": (CGAN, CGAN.Generator), "IntraDA": (deeplabv2, deeplabv2.DeepLabV2),
            "UNetPlusPlus": (nested_unet, nested_unet.NestedUNet), "Pix2pixHD": (local_enhancer, local_enhancer.LocalEnhancer)}


@pytest.mark.parametrize("name", NETWORKS)
def test_the_facts_multiply_accumulates_are_those_that_pytorch_counts(name):
    from torch.utils.flop_counter import FlopCounterMode
    told = facts.load(ROOT / name).cost
    with torch.device("meta"):
        network = NETWORKS[name][1]().eval()
        x = torch.empty(told["input_shape"])
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(x)
    assert told["macs"] == counter.get_total_flops() // 2 // told["input_shape"][0]


@pytest.mark.full
@pytest.mark.parametrize("name", NETWORKS)
def test_the_facts_cost_is_what_make_cost_counts_on_the_network_in_full_width(name, tmp_path):
    model, path = facts.load(ROOT / name), tmp_path / "network.onnx"
    shape = model.cost["input_shape"]
    small = shape if len(shape) == 2 else [1, shape[1], 64, 128]  # what counts is the graph: the size is set below
    names = {"input_names": [model.inputs[0].name], "output_names": [model.outputs[0].name]}
    trace.write(NETWORKS[name][0].seeded().eval(), (torch.rand(small),), path, names)
    file = onnx.load(str(path))
    for dim, size in zip(file.graph.input[0].type.tensor_type.shape.dim, shape):
        dim.dim_value = size
    for dim in file.graph.output[0].type.tensor_type.shape.dim:
        dim.dim_param = "size"
    del file.graph.value_info[:]
    onnx.save(file, str(path))
    found = cost.count(path)
    assert {key: found[key] for key in model.cost} == pytest.approx(model.cost)
