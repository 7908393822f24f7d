"""From a dataset to the network's input, and from result files to one sample's row: manifests, `.bin` files, streets,
the demos. Nothing here runs a network."""
