"""Stands in for onnxruntime-gpu where the folder above is on PYTHONPATH: the real package, which computes on the CPU.

STANDIN_PROVIDERS: the providers that it claims to have beside the CPU's, separated by commas. Arrays bound to the GPU
stay where they are. STANDIN_SESSIONS: a file that the providers of each session are added to, one JSON line.
"""
from __future__ import annotations

import importlib
import json
import os
import sys

_here = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
_path = list(sys.path)
sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry or ".") != _here]
del sys.modules["onnxruntime"]
real = importlib.import_module("onnxruntime")
sys.path[:] = _path

CLAIMED = [name for name in os.environ.get("STANDIN_PROVIDERS", "").split(",") if name]
_Session, _from_numpy = real.InferenceSession, real.OrtValue.ortvalue_from_numpy


class Binding:
    def __init__(self, binding):
        self._binding = binding

    def bind_output(self, name, *_device):
        self._binding.bind_output(name, "cpu")

    def __getattr__(self, name):
        return getattr(self._binding, name)


class InferenceSession(_Session):
    def __init__(self, model, options=None, providers=(), **more):
        names = [entry if isinstance(entry, str) else entry[0] for entry in providers]
        if not set(names) <= {*CLAIMED, "CPUExecutionProvider"}:
            raise RuntimeError(f"{names}: not all of them are here")
        self._names = names
        if os.environ.get("STANDIN_SESSIONS"):
            with open(os.environ["STANDIN_SESSIONS"], "a", encoding="utf-8") as file:
                file.write(json.dumps(providers) + "\n")
        super().__init__(model, options, providers=["CPUExecutionProvider"])

    def get_providers(self):
        return self._names

    def io_binding(self):
        return Binding(super().io_binding())

    def run_with_iobinding(self, binding, *more):
        return super().run_with_iobinding(binding._binding, *more)


real.InferenceSession = InferenceSession
real.get_available_providers = lambda: [*CLAIMED, "CPUExecutionProvider"]
real.OrtValue.ortvalue_from_numpy = staticmethod(lambda array, *_device: _from_numpy(array))
