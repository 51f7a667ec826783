"""Keys and transactions of upstream's Go client; Rust reads the same file in `crates/evm-core`."""

import json
from pathlib import Path
from typing import Any

import evm_native
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from runtimes.python.authentication import authenticate
from shared.crypto.address import encode_address, sr25519_address
from shared.crypto.hashes import sha512_256
from shared.errors import RuntimeRejected
from shared.types.sdk_transaction import signature_context

VECTORS: dict[str, Any] = json.loads((Path(__file__).parent / "sdk-transactions.json").read_text())
CONTEXT, MESSAGE = bytes.fromhex(VECTORS["context"]), bytes.fromhex(VECTORS["message"])
SR25519_PURE = 6


@pytest.mark.parametrize("vector", VECTORS["keys"], ids=lambda vector: vector["name"])
def test_sr25519_keys_sign_and_have_addresses_as_upstreams(vector: dict[str, str]) -> None:
    public, signature = bytes.fromhex(vector["public"]), bytes.fromhex(vector["signature"])
    seed = sha512_256(b"oasis-runtime-sdk/test-keys: " + vector["name"].encode())
    assert seed.hex() == vector["seed"]
    made, secret = evm_native.keypair(SR25519_PURE, seed)
    assert made == public
    assert encode_address(sr25519_address(public)) == vector["address"]

    def verify(context: bytes, message: bytes, proof: bytes) -> bool:
        return evm_native.verify_separated("sr25519", public, context, message, proof)

    assert verify(CONTEXT, MESSAGE, signature)
    own = evm_native.sign_separated("sr25519", secret, CONTEXT, MESSAGE)
    assert own == evm_native.sign_separated("sr25519", secret, CONTEXT, MESSAGE)
    assert verify(CONTEXT, MESSAGE, own)
    assert not verify(CONTEXT + b"!", MESSAGE, signature)
    assert not verify(CONTEXT, MESSAGE + b"!", signature)
    assert not verify(CONTEXT, MESSAGE, signature[:-1])
    assert not verify(CONTEXT, MESSAGE, evm_native.sign(SR25519_PURE, secret, CONTEXT, MESSAGE))


@pytest.mark.parametrize(
    ("scheme", "method", "curve", "hash_"),
    [
        ("secp256r1", 7, ec.SECP256R1(), hashes.SHA512_256()),
        ("secp384r1", 8, ec.SECP384R1(), hashes.SHA384()),
    ],
)
def test_ecdsa_of_the_curves_of_nist_is_pycas(
    scheme: str, method: int, curve: ec.EllipticCurve, hash_: hashes.HashAlgorithm
) -> None:
    seed = b"\x42" * (curve.key_size // 8)
    public, secret = evm_native.keypair(method, seed)
    key = ec.derive_private_key(int.from_bytes(seed, "big"), curve)
    signature = key.sign(CONTEXT + MESSAGE, ec.ECDSA(hash_))
    assert evm_native.verify_separated(scheme, public, CONTEXT, MESSAGE, signature)
    assert not evm_native.verify_separated(scheme, public, CONTEXT, b"another", signature)
    own = evm_native.sign_separated(scheme, secret, CONTEXT, MESSAGE)
    key.public_key().verify(own, CONTEXT + MESSAGE, ec.ECDSA(hash_))


def test_a_runtime_in_python_reads_a_transaction_of_upstreams_client() -> None:
    context = signature_context(bytes.fromhex(VECTORS["runtime_id"]), VECTORS["chain_context"])
    vector = VECTORS["transactions"][0]
    raw = bytes.fromhex(vector["raw"])
    authentic = authenticate(raw, context)
    assert encode_address(authentic.sender) == vector["sender"]
    assert authentic.transaction.call.method == "accounts.Transfer"
    with pytest.raises(RuntimeRejected, match="signature verification failed"):
        authenticate(raw, context + b"!")


def test_a_scheme_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(evm_native.ConfigError, match="unknown signature scheme"):
        evm_native.verify_separated("bls12381", bytes(48), CONTEXT, MESSAGE, bytes(96))
