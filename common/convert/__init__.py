"""From a checkpoint to a checked ONNX file: loading, exporting, simplifying, the upstream's code. No dataset comes here."""
