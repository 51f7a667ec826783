"""What holds for all tests."""

from hypothesis import settings

# A slow machine is no counterexample: pytest's own timeout bounds a test.
settings.register_profile("qanat", deadline=None)
settings.load_profile("qanat")
