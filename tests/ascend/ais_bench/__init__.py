"""Stands in for the package ais_bench, for `python3 -m ais_bench`: put the folder above this one on PYTHONPATH."""
