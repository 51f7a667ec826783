"""The market as contracts have it, and what is sealed to its workers."""
