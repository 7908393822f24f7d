"""Demo datasets, drawn by code and seeded, so that a fresh clone runs with nothing to download."""
