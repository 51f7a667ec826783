"""The trusted half of a worker: one process for each instance of an app."""
