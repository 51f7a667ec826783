"""
The key manager's policy and public keys: what consensus, enclaves and clients all compute.

Consensus keeps the policy, but enclaves do not believe it about that: the signers and their
threshold are part of their measured configuration, and the serial only grows.
"""

from dataclasses import dataclass

from shared.crypto.hashes import sha3_256
from shared.crypto.signing import register_context, verify_signature
from shared.encoding.record import decode_record, encode_record
from shared.errors import Rejected
from shared.types.key_requests import PolicyMissing
from shared.types.keymanager import POLICY, Policy, SignedPolicy, SignedPublicKey

PUBLIC_KEY = register_context("oasis-core/keymanager: pk signature")
"""Upstream's context to the letter: Sapphire's clients get the signature as it is."""
SIGNED_KEY_LIFETIME = 10
"""Age at which the signature on an ephemeral public key expires [epochs]; upstream's value."""


class TooFewPolicySigners(Rejected, module="keys", code=1):
    """Fewer trusted signers than the threshold have signed the policy."""


class PolicyForOther(Rejected, module="keys", code=2):
    """The policy is for another key manager."""


class PolicyRolledBack(Rejected, module="keys", code=3):
    """The serial is below that of a policy this enclave has followed, or its content changed."""


@dataclass(frozen=True, slots=True)
class VerifiedPolicy:
    """A policy whose signatures were counted."""

    body: Policy
    signed: SignedPolicy
    checksum: bytes


def accept_policy(
    signed: SignedPolicy | None,
    followed: VerifiedPolicy | None,
    *,
    runtime_id: bytes,
    signers: tuple[bytes, ...],
    threshold: int,
) -> VerifiedPolicy:
    """
    Accept the policy that consensus holds, after the one that this enclave followed so far.

    Raises
    ------
    PolicyMissing, TooFewPolicySigners, BadSignature, PolicyForOther, PolicyRolledBack
        See each class. The enclave then goes on with the policy it followed.
    """
    if signed is None:
        raise PolicyMissing("there is no policy, so nobody may have any key")
    checksum = policy_checksum(signed)
    if followed is not None and followed.checksum == checksum:
        return followed
    verify_policy_signatures(signed, signers=signers, threshold=threshold)
    body = decode_record(Policy, signed.untrusted_raw_value)
    if body.id != runtime_id:
        raise PolicyForOther(f"the policy is for {body.id.hex()}")
    if followed is not None and body.serial <= followed.body.serial:
        raise PolicyRolledBack(f"serial {body.serial} after {followed.body.serial}")
    return VerifiedPolicy(body, signed, checksum)


class PublicKeyExpired(Rejected, module="keys", code=40):
    """The key manager vouched for this key in an epoch that is long past."""


def policy_checksum(policy: SignedPolicy) -> bytes:
    """
    Fingerprint of a signed policy, by which nodes show that they follow the same one; 32 bytes.

    Source: oasis-core keymanager/src/policy/cached.rs @ f9f1fdc.
    """
    return sha3_256(encode_record(policy))


def verify_policy_signatures(
    signed: SignedPolicy, *, signers: tuple[bytes, ...], threshold: int
) -> None:
    """
    Count the trusted signers; raise `TooFewPolicySigners`, or `BadSignature` at the first bad one.

    A signature by a key that is not trusted is ignored, and each signer counts once.
    """
    if threshold < 1:
        raise TooFewPolicySigners("a threshold below one would accept an unsigned policy")
    counted = set()
    for signature in signed.signatures:
        if signature.public_key not in signers:
            continue
        verify_signature(
            signature.public_key,
            POLICY.anywhere(),
            signed.untrusted_raw_value,
            signature.signature,
        )
        counted.add(signature.public_key)
    if len(counted) < threshold:
        raise TooFewPolicySigners(f"{len(counted)} of {threshold} trusted signers signed")


def public_key_body(
    key: bytes,
    checksum: bytes,
    runtime_id: bytes,
    key_pair_id: bytes,
    epoch: int | None,
    expiration: int | None,
) -> bytes:
    """
    Bytes that the runtime signing key (RSK) signs when it vouches for a public key.

    The first four have 32 bytes each; epochs are absent for a long-term key.
    Source: oasis-core keymanager/src/crypto/types.rs @ f9f1fdc.
    """
    body = key + checksum + runtime_id + key_pair_id
    for number in (epoch, expiration):
        if number is not None:
            body += number.to_bytes(8, "big")
    return body


def verify_public_key(
    signed: SignedPublicKey,
    *,
    rsk: bytes,
    runtime_id: bytes,
    key_pair_id: bytes,
    epoch: int | None,
    now_epoch: int,
) -> None:
    """
    Verify that the key manager with this RSK vouches for a public key now.

    Raises
    ------
    PublicKeyExpired
        Its time is over.
    BadSignature
        It is for another pair, runtime or epoch, or by another key.
    """
    if signed.expiration is not None and now_epoch > signed.expiration:
        raise PublicKeyExpired(f"the key expired in epoch {signed.expiration}, now is {now_epoch}")
    body = public_key_body(
        signed.key, signed.checksum, runtime_id, key_pair_id, epoch, signed.expiration
    )
    verify_signature(rsk, PUBLIC_KEY.anywhere(), body, signed.signature)
