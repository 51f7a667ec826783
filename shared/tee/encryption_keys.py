"""
An enclave's encryption keys (REK): another one at each registration, for forward secrecy.

What is encrypted to a REK lies in public blocks for ever, so a key that lived as long as its
process would open years of them. A key is needed until the registry is proven to hold a newer one
of the same enclave: nothing is encrypted to it any more, and what was has been opened by then.
"""

import nacl.bindings

from shared.crypto.entropy import Entropy
from shared.crypto.secret import SecretBytes

MAX_KEYS = 8
"""
Keys held at once: the registered one, and those of registrations that are under way.

A host that has keys made without registering them pushes out only what it never registered.
"""


class EncryptionKeys:
    """The keys at hand, in the order in which they were made."""

    def __init__(self, entropy: Entropy) -> None:
        self._entropy = entropy
        self._keys: dict[bytes, SecretBytes] = {}

    def renew(self) -> bytes:
        """Make a key for the next registration; its public half, 32 bytes."""
        private = SecretBytes(self._entropy.draw("rek", 32))
        public = nacl.bindings.crypto_scalarmult_base(private.reveal())
        while len(self._keys) >= MAX_KEYS:
            # The first is, or may be, the registered one.
            del self._keys[list(self._keys)[1]]
        self._keys[public] = private
        return public

    def held(self) -> tuple[bytes, ...]:
        """Public halves, oldest first."""
        return tuple(self._keys)

    def exchange(self, rek: bytes, public_key: bytes) -> bytes:
        """X25519 of one of the keys with another's public key: the shared secret."""
        return nacl.bindings.crypto_scalarmult(self._keys[rek].reveal(), public_key)

    def forget_before(self, registered: bytes) -> None:
        """Drop what is older than the key that the registry is proven to hold, if it is ours."""
        if registered not in self._keys:
            return
        for older in list(self._keys):
            if older == registered:
                return
            del self._keys[older]
