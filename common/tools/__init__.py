"""The stand-ins for benchmark, msame and ais_infer, and what reads the files that these tools and trtexec leave. What
they share, running batches, is in `common.infer`."""
