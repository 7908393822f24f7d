"""What two or more models of the collection share: one module per stage of the pipeline."""

__version__ = "0.1.0"
