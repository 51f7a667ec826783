"""
Sealing: what an enclave keeps on a disk that it does not trust.

A blob opens only on the platform and under the measurement that sealed it, in the same context and
with the same associated data. Sealing does not show that a blob is the newest: compare with
consensus for that.

The nonce is derived from fresh chance *and* the message, so that even repeated chance (a replayed
network) gives one nonce to two messages only when they are equal. Source: oasis-core
runtime/src/common/sgx/seal.rs @ f9f1fdc; differs: XChaCha20-Poly1305 for Deoxys-II, kept
misuse-resistant in the way just said.
"""

import nacl.bindings
import nacl.exceptions

from shared.crypto.entropy import Entropy
from shared.crypto.hashes import kmac256, sha3_256, sha256
from shared.errors import Rejected
from shared.tee.platform import PlatformApi

NONCE_BYTES = 24
TAG_BYTES = 16
SEAL = b"qanat/sealing: seal (insecure mock)"
NONCE = b"qanat/sealing: nonce (insecure mock)"


class CannotUnseal(Rejected, module="tee", code=1):
    """The blob was not sealed by this enclave on this platform for this purpose, or is damaged."""


class Sealer:
    """Seals and unseals under one enclave's keys on one platform."""

    def __init__(self, platform: PlatformApi, entropy: Entropy) -> None:
        self._platform, self._entropy = platform, entropy
        self._keys: dict[bytes, tuple[bytes, bytes]] = {}

    def seal(self, context: bytes, plaintext: bytes, associated_data: bytes = b"") -> bytes:
        """
        Seal a plaintext: nonce ‖ ciphertext ‖ tag.

        Parameters
        ----------
        context : `bytes`
            What the blob is for; each context has a key of its own.
        associated_data : `bytes`
            What must be the same when it is opened, such as a generation number.
        """
        seal_key, nonce_key = self._keys_of(context)
        chance = self._entropy.draw("seal nonce", 32)
        message = chance + sha256(associated_data) + plaintext
        nonce = kmac256(nonce_key, message, NONCE, NONCE_BYTES)
        return nonce + nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
            plaintext, associated_data, nonce, seal_key
        )

    def unseal(self, context: bytes, untrusted: bytes, associated_data: bytes = b"") -> bytes:
        """Open a blob, or raise `CannotUnseal`."""
        if len(untrusted) < NONCE_BYTES + TAG_BYTES:
            raise CannotUnseal(f"a sealed blob has at least {NONCE_BYTES + TAG_BYTES} bytes")
        seal_key, _ = self._keys_of(context)
        try:
            return nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
                untrusted[NONCE_BYTES:], associated_data, untrusted[:NONCE_BYTES], seal_key
            )
        except nacl.exceptions.CryptoError:
            raise CannotUnseal(
                f"the blob {context.decode(errors='replace')!r} was sealed by another enclave, "
                "on another platform, for another purpose, or is damaged"
            ) from None

    def _keys_of(self, context: bytes) -> tuple[bytes, bytes]:
        keys = self._keys.get(context)
        if keys is None:
            expanded = kmac256(self._platform.seal_key(sha3_256(context)), context, SEAL, 64)
            keys = self._keys[context] = expanded[:32], expanded[32:]
        return keys
