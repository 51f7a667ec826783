"""The beacon module: epochs, and the elections that draw from them."""
