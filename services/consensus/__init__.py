"""The replicated state machine: stake, registry, elections, key managers, rounds."""
