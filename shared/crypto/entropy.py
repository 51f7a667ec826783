"""
The one source of chance.

Everything random in the product is drawn from an `Entropy` that is handed in, so that a network
made from a seed gives the same keys and nonces on every run.
"""

from typing import Protocol

import nacl.utils

from shared.crypto.hashes import kmac256


class Entropy(Protocol):
    """Gives unpredictable bytes, or, from a seed, repeatable ones."""

    def draw(self, label: str, length: int = 32) -> bytes:
        """Give `length` bytes for a use that `label` names; each draw is independent."""
        ...


class SystemEntropy:
    """Chance from the operating system."""

    def draw(self, label: str, length: int = 32) -> bytes:  # noqa: ARG002
        """Give fresh bytes; the label has no effect."""
        return nacl.utils.random(length)


class SeededEntropy:
    """
    Repeatable chance for exact replay; never for a network whose secrets matter.

    The n-th draw under one label is KMAC256(seed, label ‖ 0 ‖ n), so that draws under one label do
    not shift those under another.
    """

    def __init__(self, seed: bytes) -> None:
        if len(seed) < 32:
            raise ValueError(f"a seed has at least 32 bytes, this one {len(seed)}")
        self._seed = seed
        self._drawn: dict[str, int] = {}

    def draw(self, label: str, length: int = 32) -> bytes:
        """Give the next bytes of this label."""
        count = self._drawn.get(label, 0)
        self._drawn[label] = count + 1
        message = label.encode() + b"\x00" + count.to_bytes(8, "big")
        return kmac256(self._seed, message, b"qanat/entropy: draw", length)
