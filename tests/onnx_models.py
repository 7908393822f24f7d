"""Tiny ONNX models for the tests of the offline tools, and a way to run a tool as its user does."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).resolve().parent.parent


def save(path, nodes, inputs, outputs, initializers=(), metadata=None):
    """inputs, outputs: lists of (name, shape, element type). Opset 11, ir_version 6."""
    graph = helper.make_graph(nodes, "tiny",
                              [helper.make_tensor_value_info(name, kind, shape) for name, shape, kind in inputs],
                              [helper.make_tensor_value_info(name, kind, shape) for name, shape, kind in outputs],
                              initializer=list(initializers))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=6)
    helper.set_model_props(model, metadata or {})
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return Path(path)


def constant(name, value):
    return numpy_helper.from_array(np.array(value, np.float32), name)


def affine(path, batch="N", shape=(3, 4), metadata=None):
    """`x` [batch, *shape] -> `twice` = 2x, `less` = x - 1; float32."""
    full = [batch, *shape]
    nodes = [helper.make_node("Mul", ["x", "two"], ["twice"]), helper.make_node("Sub", ["x", "one"], ["less"])]
    return save(path, nodes,
                [("x", full, TensorProto.FLOAT)],
                [("twice", full, TensorProto.FLOAT), ("less", full, TensorProto.FLOAT)],
                [constant("two", 2), constant("one", 1)], metadata)


def reciprocal(path, batch="N", size=4):
    """`x` [batch, size] -> `y` = 1/x: infinite where x is 0; float32."""
    return save(path, [helper.make_node("Reciprocal", ["x"], ["y"])], [("x", [batch, size], TensorProto.FLOAT)],
                [("y", [batch, size], TensorProto.FLOAT)])


def pair(path, batch="N"):
    """`a`, `b` [batch, 2] -> `y` = a - b; float32."""
    return save(path, [helper.make_node("Sub", ["a", "b"], ["y"])],
                [("a", [batch, 2], TensorProto.FLOAT), ("b", [batch, 2], TensorProto.FLOAT)],
                [("y", [batch, 2], TensorProto.FLOAT)])


def same(path, kind, shape):
    """`x` -> `y` = x, of any element type and fixed shape."""
    return save(path, [helper.make_node("Identity", ["x"], ["y"])], [("x", shape, kind)], [("y", shape, kind)])


def slow(path, batch="N", size=1024, layers=30):
    """`x` [batch, size] -> `y` = x, through `layers` products with the identity matrix: some milliseconds a run."""
    names = ["x", *[f"h{layer}" for layer in range(1, layers)], "y"]
    return save(path, [helper.make_node("MatMul", [before, "eye"], [after]) for before, after in zip(names, names[1:])],
                [("x", [batch, size], TensorProto.FLOAT)], [("y", [batch, size], TensorProto.FLOAT)],
                [constant("eye", np.eye(size))])


def samples(folder, count, shape=(3, 4), seed=0):
    """Write `count` files `s<i>.bin` of float32 and give back {stem: array}."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(seed)
    arrays = {f"s{index}": generator.normal(size=shape).astype(np.float32) for index in range(count)}
    for stem, array in arrays.items():
        array.tofile(Path(folder) / f"{stem}.bin")
    return arrays


def environment(**extra):
    kept = {name: value for name, value in os.environ.items() if name not in ("DEVICE", "PRECISION", "LIMIT", "RESUME")}
    return {**kept, "PYTHONPATH": str(ROOT), "THREADS": "1", **extra}


def module(name):
    """The module of a stand-in, or of what drives several."""
    return "common.devices" if name == "devices" else f"common.tools.{name}"


def tool(name, *arguments, cwd, **extra):
    """Run `python -m common.<name>` in `cwd` with `extra` in the environment."""
    return subprocess.run([sys.executable, "-m", module(name), *map(str, arguments)], cwd=str(cwd),
                          env=environment(**extra), capture_output=True, text=True, timeout=60)


def start(name, *arguments, cwd, **extra):
    """The same, not waited for."""
    return subprocess.Popen([sys.executable, "-m", module(name), *map(str, arguments)], cwd=str(cwd),
                            env=environment(**extra), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
