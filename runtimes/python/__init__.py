"""ParaTimes in Python: a runtime SDK in the manner of Oasis', see `docs/paratimes.md`."""

from runtimes.python.runtime import PythonRuntime, open_runtime

__all__ = ["PythonRuntime", "open_runtime"]
