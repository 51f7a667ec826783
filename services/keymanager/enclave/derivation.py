"""
Derivation of everything that grows from a secret of the key manager.

All functions are those of oasis-core keymanager/src/crypto/kdf.rs @ f9f1fdc, and the vectors of
that file are in `tests/vectors/keymanager-kdf.json`. Every label ends in `-insecure`, upstream's
mark of a build without a real TEE, so that no key made here equals one of a production network.
"""

from nacl.bindings import crypto_scalarmult_base

from shared.crypto.hashes import cshake256, kmac256
from shared.crypto.secret import SecretBytes
from shared.crypto.signing import Signer
from shared.rules.key_policy import PUBLIC_KEY, SIGNED_KEY_LIFETIME, public_key_body
from shared.types.identity import Epoch
from shared.types.key_requests import KeyPair
from shared.types.keymanager import SignedPublicKey

SECRET_BYTES = 32
INSECURE = b"-insecure"

RUNTIME_SECRET = b"ekiden-derive-runtime-secret" + INSECURE
EPHEMERAL_SECRET = b"ekiden-derive-ephemeral-secret" + INSECURE
EPHEMERAL_KEYS = b"ekiden-derive-ephemeral-keys" + INSECURE
SIGNING_KEY = b"ekiden-derive-signing-key" + INSECURE
MASTER_CHECKSUM = b"ekiden-checksum-master-secret" + INSECURE
EPHEMERAL_CHECKSUM = b"ekiden-checksum-ephemeral-secret" + INSECURE


def derive_long_term_keys(master: SecretBytes, runtime_id: bytes, key_pair_id: bytes) -> KeyPair:
    """
    Derive a pair that lasts as long as its master secret's generation.

    The second label repeats the first: a slip of upstream that it keeps for compatibility.
    """
    secret = kmac256(master.reveal(), runtime_id + key_pair_id, RUNTIME_SECRET)
    return _expand(secret, RUNTIME_SECRET)


def derive_ephemeral_keys(
    ephemeral: SecretBytes, runtime_id: bytes, key_pair_id: bytes, epoch: int
) -> KeyPair:
    """Derive a pair of one epoch."""
    seed = runtime_id + key_pair_id + epoch.to_bytes(8, "big")
    return _expand(kmac256(ephemeral.reveal(), seed, EPHEMERAL_SECRET), EPHEMERAL_KEYS)


def _expand(secret: bytes, custom: bytes) -> KeyPair:
    stream = cshake256(secret, custom, 64)
    state_key, secret_key = stream[:32], stream[32:]
    return KeyPair(state_key, secret_key, crypto_scalarmult_base(secret_key))


def derive_signing_key(master: SecretBytes, runtime_id: bytes) -> Signer:
    """Derive the runtime signing key (RSK), which vouches for public keys."""
    return Signer(kmac256(master.reveal(), runtime_id, SIGNING_KEY))


def checksum_master_secret(master: SecretBytes, previous_checksum: bytes) -> bytes:
    """
    Extend the checksum chain by one generation.

    The chain begins with the key manager's runtime id, so that the checksum of generation g is
    KMAC(secret g, … KMAC(secret 1, KMAC(secret 0, runtime id))): it fixes all generations at once.
    """
    return kmac256(master.reveal(), previous_checksum, MASTER_CHECKSUM)


def checksum_ephemeral_secret(ephemeral: SecretBytes, runtime_id: bytes, epoch: int) -> bytes:
    """Checksum of the secret of one epoch. The epoch is little-endian here, as upstream has it."""
    message = runtime_id + epoch.to_bytes(8, "little")
    return kmac256(ephemeral.reveal(), message, EPHEMERAL_CHECKSUM)


def sign_public_key(
    signer: Signer,
    key: bytes,
    *,
    checksum: bytes,
    runtime_id: bytes,
    key_pair_id: bytes,
    epoch: int | None = None,
) -> SignedPublicKey:
    """
    Vouch for a public key.

    Parameters
    ----------
    signer : `Signer`
        The RSK of the newest generation.
    key, checksum, runtime_id, key_pair_id : `bytes`
        32 bytes each; `checksum` is that of the newest master secret.
    epoch : `int`, optional
        Of an ephemeral key [epochs]; None for a long-term key, which does not expire.
    """
    expiration = None if epoch is None else Epoch(epoch + SIGNED_KEY_LIFETIME)
    body = public_key_body(key, checksum, runtime_id, key_pair_id, epoch, expiration)
    signature = signer.sign(PUBLIC_KEY.anywhere(), body)
    return SignedPublicKey(key, checksum, signature, expiration)
