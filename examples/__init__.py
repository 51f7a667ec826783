"""ParaTimes to read, run and copy."""
