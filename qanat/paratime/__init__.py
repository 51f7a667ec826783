"""For people who write ParaTimes in Python: a client, a chain to test on, a template."""
