"""The registry module: entities, nodes and runtimes."""
