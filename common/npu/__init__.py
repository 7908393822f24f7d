"""The machine with the NPU: CANN's environment, its published limits, atc and its flags, the chip's name, ModelZoo's
self-test, and what is missing here."""
