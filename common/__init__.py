"""What the models of the collection share: one room (sub-package) per stage of the pipeline, see docs/ARCHITECTURE.md."""

__version__ = "0.1.0"
