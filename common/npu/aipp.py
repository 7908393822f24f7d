"""Preprocessing's last step done on the chip by AIPP: `python3 -m common.npu.aipp MODULE MODEL.onnx PREP OUT`.

MODULE is a model's preprocess script, without .py; its `scaling` says what is subtracted from a pixel and what that is
multiplied by. Written are OUT/aipp.cfg for `atc --insert_op_conf`, OUT/PREP/<sample>.bin with the pixels themselves, and
OUT/MODEL.onnx, which takes those as the .om does and has AIPP emulated in front, for the tools' stand-ins.

    out = (pixel - mean_chn - min_chn) * var_reci_chn

mean_chn is a whole number, min_chn, var_reci_chn and the result are of half precision; channels count after the swap of red
and blue. Sources: CANN's pages of AIPP's normalization and of its configuration file,
https://www.hiascend.com/document/detail/zh/canncommercial/900/devaids/atctool/atlasatc_16_0022.html,
https://www.hiascend.com/document/detail/zh/canncommercial/850/devaids/atctool/atlasatc_16_0025.html
"""
from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, List, NamedTuple, Optional, Sequence

from common.base import errors, facts, files, model_file
from common.base.errors import UserError
from common.data import dataset
from common.engines import half
from common.judge import agreement, reports

if TYPE_CHECKING:
    import numpy as np

CLOSE = 0.01
"""Grey levels by which a preprocessed value may be off a whole pixel."""


class Scaling(NamedTuple):
    """What a network's preprocessing does to a pixel of 0..255, three numbers each, blue first."""

    subtract: Sequence[float]
    multiply: Sequence[float]


def scaling(module: str, model: facts.Facts) -> Scaling:
    """As the preprocess script says. Raises `UserError` where it does not."""
    try:
        found = importlib.import_module(module).scaling(model)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{module}: tells no scaling for AIPP ({error})") from error
    return Scaling(*found)


def parameters(scale: Scaling) -> List[List[float]]:
    """mean_chn, min_chn and var_reci_chn of each channel, as the chip takes them."""
    import numpy as np
    whole = [float(int(value)) for value in scale.subtract]
    rest = [float(np.float16(value - mean)) for value, mean in zip(scale.subtract, whole)]
    return [whole, rest, [float(np.float16(value)) for value in scale.multiply]]


def config(scale: Scaling, width: int, height: int) -> str:
    """The text of aipp.cfg: the file has red first, the network wants blue first."""
    lines = ["aipp_mode: static", "related_input_rank: 0", "input_format: RGB888_U8", f"src_image_size_w: {width}",
             f"src_image_size_h: {height}", "csc_switch: false", "rbuv_swap_switch: true"]
    for name, values in zip(("mean_chn", "min_chn", "var_reci_chn"), parameters(scale)):
        lines += [f"{name}_{channel}: {value:.10g}" for channel, value in enumerate(values)]
    return "aipp_op {\n" + "".join(f"    {line}\n" for line in lines) + "}\n"


def emulated(scale: Scaling) -> "np.ndarray":
    """What the chip makes of each pixel: float32 [3, 256] of half-precision numbers, a row per channel, blue first."""
    import numpy as np
    mean, least, factor = (np.array(values, np.float32)[:, None] for values in parameters(scale))
    return half.nearest((np.arange(256, dtype=np.float32) - mean - least) * factor)


def pixels(array: "np.ndarray", scale: Scaling, where: str) -> "np.ndarray":
    """The pixels that preprocessing has made an input of: float32 [1, 3, H, W], blue first, to uint8 [1, H, W, 3], red first.

    Raises `UserError` where the values are not those of whole pixels: preprocessing does something else then.
    """
    import numpy as np
    subtract, multiply = (np.array(values, np.float64).reshape(3, 1, 1) for values in scale)
    exact = array / multiply + subtract
    whole = np.rint(exact)
    off = float(np.abs(exact - whole).max())
    if off > CLOSE or whole.min() < 0 or whole.max() > 255:
        raise UserError(f"{where}: its values are no pixels of 0..255 scaled as AIPP would (off by {off:.3g}); preprocessing "
                        "and its scaling() do not belong together")
    return np.ascontiguousarray(whole.astype(np.uint8)[:, ::-1].transpose(0, 2, 3, 1))


def with_aipp(model: Any, scale: Scaling) -> Any:
    """A copy of the model that takes uint8 [N, H, W, 3], red first, in its input's place, and does to it what AIPP does."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    value = graph.input[0]
    batch, channels, height, width = value.type.tensor_type.shape.dim
    if len(graph.input) != 1 or channels.dim_value != 3:
        raise UserError(f"{value.name}: expected a network of one input with three channels")
    sizes = [each.dim_value or each.dim_param for each in (batch, height, width)]
    graph.initializer.extend([
        numpy_helper.from_array(emulated(scale)[::-1].reshape(-1), "aipp/table"),
        numpy_helper.from_array(np.array([0, 256, 512], np.int32), "aipp/rows"),
        numpy_helper.from_array(np.array([2, 1, 0], np.int64), "aipp/swap")])
    front = [helper.make_node("Cast", [value.name], ["aipp/pixel"], to=TensorProto.INT32, name="aipp/Cast"),
             helper.make_node("Add", ["aipp/pixel", "aipp/rows"], ["aipp/place"], name="aipp/Add"),
             helper.make_node("Gather", ["aipp/table", "aipp/place"], ["aipp/scaled"], axis=0, name="aipp/Scale"),
             helper.make_node("Gather", ["aipp/scaled", "aipp/swap"], ["aipp/swapped"], axis=3, name="aipp/Swap"),
             helper.make_node("Transpose", ["aipp/swapped"], ["aipp/out"], perm=[0, 3, 1, 2], name="aipp/Transpose")]
    nodes = list(graph.node)
    for node in nodes:
        node.input[:] = ["aipp/out" if name == value.name else name for name in node.input]
    del graph.node[:]
    graph.node.extend([*front, *nodes])
    value.CopyFrom(helper.make_tensor_value_info(value.name, TensorProto.UINT8, [sizes[0], sizes[1], sizes[2], 3]))
    onnx.checker.check_model(made)
    return made


def write(module: str, onnx_file: str, prep: str, out: Path, model: facts.Facts) -> str:
    """Write OUT as the module's text says; gives a line about it."""
    import numpy as np
    scale = scaling(module, model)
    table = emulated(scale)
    network = half.read(onnx_file)
    height, width = (int(size) for size in model.inputs[0].shape[2:])
    (out / prep).mkdir(parents=True, exist_ok=True)
    files.write_text(out / "aipp.cfg", config(scale, width, height))
    files.write_bytes(out / Path(onnx_file).name, with_aipp(network, scale).SerializeToString())
    largest, records = 0.0, dataset.read_manifest(prep)
    for record in records:
        array = dataset.read_bin(record["bin"], [1, 3, height, width])
        whole = pixels(array, scale, record["bin"])
        blue_first = whole[..., ::-1].transpose(0, 3, 1, 2)
        again = np.stack([table[channel][blue_first[:, channel]] for channel in range(3)], 1)
        largest = max(largest, float(np.abs(again - array).max()))
        dataset.write_bin(out / prep / Path(record["bin"]).name, whole)
    return (f"{out}/aipp.cfg, and {len(records)} samples of {3 * height * width} bytes each, a quarter of preprocessing's; AIPP "
            f"emulated differs from preprocessing by {largest:.3g} at most")


def told(out: Path, model: facts.Facts) -> List[str]:
    """What the run on the pixels gave, from accuracy.json here and in OUT/.., and OUT's agreement with PyTorch."""
    before, after = (reports.accuracy(path, model)["value"] for path in (Path("accuracy.json"), out / "accuracy.json"))
    unit = f" {model.metric.unit}" if model.metric.unit else ""
    return [f"{model.metric.name}: {before:.4f}{unit} with preprocessing's files, {after:.4f}{unit} with AIPP emulated here",
            f"outputs against PyTorch's: {agreement.figures(reports.agreement(out / 'agreement.json'))}",
            f"for atc: make om ATC_FLAGS=--insert_op_conf={out}/aipp.cfg; no NPU figure"]


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(prog="python3 -m common.npu.aipp", description=errors.first_line(__doc__))
    parser.add_argument("module", metavar="MODULE", help="the preprocess script, without .py")
    parser.add_argument("onnx", metavar="MODEL", help="the .onnx file")
    parser.add_argument("prep", metavar="PREP", help="folder that preprocessing wrote")
    parser.add_argument("out", metavar="OUT", help="folder to write to")
    parser.add_argument("--model", default="..", help="the model's folder (default: %(default)s)")
    parser.add_argument("--show", action="store_true", help="tell what the run in OUT gave, and write it to --output")
    parser.add_argument("--output", default="aipp.json", help="with --show (default: %(default)s)")
    args = parser.parse_args(argv)
    model = facts.load(args.model)
    out = Path(args.out)
    if not args.show:
        print(write(args.module, args.onnx, args.prep, out, model))
        return
    found = told(out, model)
    files.write_json(args.output, {"model_sha256": model_file.sha256(args.onnx), "told": found})
    print("\n".join(found))


if __name__ == "__main__":
    errors.run(main)
