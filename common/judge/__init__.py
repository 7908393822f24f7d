"""Figures held against others: accuracy against its reference, backend against backend, batch against batch. What is
done with one sample is not here but in `common.data.evaluation` and the models' postprocess scripts."""
