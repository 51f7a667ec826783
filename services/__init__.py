"""What runs: one package per kind of process. Services meet only in `shared.api`."""
