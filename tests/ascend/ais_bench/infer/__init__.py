"""Stands in for the part of ais_bench that runs an .om."""
