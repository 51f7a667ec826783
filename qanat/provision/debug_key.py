"""
The network's debug key: who holds the file sees what any transaction did.

Its public half stands in the measured configuration of the enclaves, so no other key ever does.
"""

from pathlib import Path

from qanat.provision.identities import write_private
from shared.crypto.signing import Signer
from shared.errors import Rejected

SEED_BYTES = 32


class BadDebugKey(Rejected, module="network", code=5):
    """The file does not hold a debug key."""


def save_debug_key(path: Path, seed: bytes) -> None:
    """Keep the seed where only the network's owner reads it."""
    write_private(path, seed.hex().encode() + b"\n")


def load_debug_key(path: Path) -> Signer | None:
    """Read the key back; None where there is none. Raises `BadDebugKey`."""
    try:
        return read_debug_key(path.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadDebugKey(f"{path} cannot be read: {error}") from error


def read_debug_key(content: bytes) -> Signer:
    """Read the content of the file, or raise `BadDebugKey`."""
    try:
        seed = bytes.fromhex(content.decode("ascii").strip())
    except ValueError:
        seed = b""
    if len(seed) != SEED_BYTES:
        raise BadDebugKey(f"a debug key is {SEED_BYTES} bytes in hex")
    return Signer(seed)
