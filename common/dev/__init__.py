"""What only the collection's own people need: benchmarks, the READMEs' tables, training the demos' weights, copies of a
folder for ModelZoo."""
