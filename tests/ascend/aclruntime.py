"""Stands in for the wheel aclruntime, which ais_bench runs an .om with; ONNX Runtime does it here (standin.py)."""
