"""What the NPU will make of a network, looked into before there is one: half precision rehearsed. The rewriting itself is
an engine's, `common.engines.half`; figures come from `common.judge`."""
