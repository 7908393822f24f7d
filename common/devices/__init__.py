"""One dataset over several devices: a module per tool, the processes, and merging what they left."""
