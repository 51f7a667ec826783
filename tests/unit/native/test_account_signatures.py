"""Signatures of Ethereum accounts agree with eth-account's."""

import pytest
from eth_account import Account
from evm_native import ConfigError, keccak256, recover_signer, sign_digest

KEY = bytes.fromhex("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")


@pytest.mark.parametrize("message", [b"", b"one", b"two", b"three"])
def test_they_are_those_of_eth_account(message: bytes) -> None:
    digest = keccak256(message)
    signature = sign_digest(KEY, digest)
    theirs = Account.unsafe_sign_hash(digest, KEY)
    assert signature[:64] == bytes(theirs.signature)[:64]
    assert signature[64] + 27 == theirs.v
    for shifted in (signature, signature[:64] + bytes([signature[64] + 27])):
        assert recover_signer(digest, shifted) == bytes.fromhex(Account.from_key(KEY).address[2:])
    assert recover_signer(keccak256(b"another"), signature) != bytes.fromhex(
        Account.from_key(KEY).address[2:]
    )


@pytest.mark.parametrize("signature", [bytes(65), b"\xff" * 65, b"\x01" * 64 + b"\x09"])
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(ConfigError):
        recover_signer(bytes(32), signature)


def test_what_is_no_key_does_not_sign() -> None:
    for secret in (bytes(32), b"\xff" * 32):
        with pytest.raises(ConfigError):
            sign_digest(secret, bytes(32))
