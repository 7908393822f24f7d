"""Running an ONNX file: ONNX Runtime and OpenVINO behind one class. What a dataset is, is not known here."""
