"""
What an app says about its instance; it goes into the next registration.

Source: oasis-sdk `rofl-appd/src/services/metadata.rs` @ 00da39c.
"""

from collections.abc import Iterable, Mapping

from services.worker.appd.errors import MetadataOverLimit

NAMESPACE = "net.oasis.app."
"""Before each key in a registration."""
MAX_PAIRS = 64 - 10
"""Of the 64 of a registration ten are the system's."""
MAX_KEY_BYTES = 1024
MAX_VALUE_BYTES = 16 * 1024


class Metadata:
    """Pairs of text, within what a registration may carry."""

    def __init__(self) -> None:
        self._pairs: dict[str, str] = {}

    @property
    def pairs(self) -> dict[str, str]:
        """A copy of all pairs."""
        return dict(self._pairs)

    def replace(self, pairs: Mapping[str, str]) -> None:
        """Put these in the place of all, or raise `MetadataOverLimit`."""
        if len(pairs) > MAX_PAIRS:
            raise MetadataOverLimit(f"at most {MAX_PAIRS} pairs, not {len(pairs)}")
        for key, value in pairs.items():
            if len((NAMESPACE + key).encode()) > MAX_KEY_BYTES:
                raise MetadataOverLimit(f"a key has at most {MAX_KEY_BYTES} bytes")
            if len(value.encode()) > MAX_VALUE_BYTES:
                raise MetadataOverLimit(f"a value has at most {MAX_VALUE_BYTES} bytes")
        self._pairs = dict(pairs)

    def insert(self, pairs: Mapping[str, str]) -> None:
        """Add pairs, or change them, or raise `MetadataOverLimit`."""
        self.replace({**self._pairs, **pairs})

    def remove(self, keys: Iterable[str]) -> None:
        """Remove keys; those that are not there are none."""
        for key in keys:
            self._pairs.pop(key, None)
