"""For people who write attested apps: a daemon of their own for unit tests."""
