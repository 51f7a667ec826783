"""
Secrets on their way through consensus: one ciphertext for each member's enclave.

The sender draws an X25519 key for the occasion and agrees with the REK of each member; only the
enclave that holds the REK's private half can open its ciphertext. Source: oasis-core
keymanager/src/runtime/secrets.rs @ f9f1fdc; differs: XChaCha20-Poly1305 for the Deoxys-II box.
"""

from collections.abc import Callable, Iterable

import nacl.bindings
import nacl.exceptions

from services.keymanager.enclave.derivation import SECRET_BYTES
from shared.crypto.entropy import Entropy
from shared.crypto.hashes import kmac256
from shared.crypto.secret import SecretBytes
from shared.errors import Rejected
from shared.types.keymanager import EncryptedSecret, PublishedSecret

BOX_KEY = b"qanat/keymanager: secret box-insecure"
NONCE_BYTES = 24

Exchange = Callable[[bytes, bytes], bytes]
"""X25519 of one of the enclave's REKs with a public key: the shared secret."""


class CannotOpenSecret(Rejected, module="keys", code=23):
    """The ciphertext is not for this enclave, or was altered."""


def associated_data(runtime_id: bytes, epoch: int, generation: int | None) -> bytes:
    """Bind a ciphertext to what it is for. Little-endian, as upstream packs it."""
    data = runtime_id
    if generation is not None:
        data += generation.to_bytes(8, "little")
    return data + epoch.to_bytes(8, "little")


def encrypt_secret(
    secret: SecretBytes,
    *,
    checksum: bytes,
    bound_to: bytes,
    reks: Iterable[bytes],
    entropy: Entropy,
) -> EncryptedSecret:
    """Encrypt a secret to every REK; each ciphertext is 48 bytes and a nonce of 24."""
    private_key = entropy.draw("secret box key", 32)
    public_key = nacl.bindings.crypto_scalarmult_base(private_key)
    ciphertexts = {}
    for rek in sorted(set(reks)):
        shared = nacl.bindings.crypto_scalarmult(private_key, rek)
        nonce = entropy.draw("secret box nonce", NONCE_BYTES)
        sealed = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(
            secret.reveal(), bound_to, nonce, _box_key(shared, public_key, rek)
        )
        ciphertexts[rek] = sealed + nonce
    return EncryptedSecret(checksum, public_key, ciphertexts)


def decrypt_secret(
    published: PublishedSecret, *, reks: Iterable[bytes], exchange: Exchange
) -> SecretBytes | None:
    """
    Open the ciphertext for one of our REKs; None where there is none, as after a restart.

    Raises
    ------
    CannotOpenSecret
        There is one, but it does not open.
    """
    encrypted = published.secret
    rek = next((rek for rek in reks if rek in encrypted.ciphertexts), None)
    if rek is None:
        return None
    ciphertext = encrypted.ciphertexts[rek]
    bound_to = associated_data(published.runtime_id, published.epoch, published.generation)
    key = _box_key(exchange(rek, encrypted.pub_key), encrypted.pub_key, rek)
    sealed, nonce = ciphertext[:-NONCE_BYTES], ciphertext[-NONCE_BYTES:]
    if len(nonce) != NONCE_BYTES:
        raise CannotOpenSecret("the ciphertext is too short")
    try:
        plaintext = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(
            sealed, bound_to, nonce, key
        )
    except (nacl.exceptions.CryptoError, ValueError):
        raise CannotOpenSecret("the ciphertext for our REK does not open") from None
    if len(plaintext) != SECRET_BYTES:
        raise CannotOpenSecret(f"a secret has {SECRET_BYTES} bytes, this one {len(plaintext)}")
    return SecretBytes(plaintext)


def _box_key(shared_secret: bytes, sender: bytes, recipient: bytes) -> bytes:
    return kmac256(shared_secret, sender + recipient, BOX_KEY)
