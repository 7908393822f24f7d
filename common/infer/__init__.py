"""Sending samples through a network: batch by batch for the tools, as a stream, on Ray Data, and in PyTorch. Command
lines of the Ascend tools are not here but in `common.tools`."""
