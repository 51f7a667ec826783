"""Makes a network's data directory: keys, mock hardware, genesis document."""
