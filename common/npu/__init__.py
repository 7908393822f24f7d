"""The machine with the NPU: CANN's environment, atc, the chip's name, ModelZoo's self-test, and what is missing here."""
