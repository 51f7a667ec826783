"""
A runtime that lies: it executes as another one does, and on demand reports a wrong state root.

The enclave's key signs roots, so a host alone cannot make a round whose root is wrong. Networks
that show what happens then list this program's own measurement (`can_lie` in the network file); on
all others an enclave that runs it cannot register.
"""

from runtimes.lying.runtime import LyingRuntime, open_runtime

__all__ = ["LyingRuntime", "open_runtime"]
