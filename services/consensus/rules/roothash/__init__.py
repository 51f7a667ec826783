"""The roothash module: votes on rounds, what they decide, and what misbehaving costs."""
