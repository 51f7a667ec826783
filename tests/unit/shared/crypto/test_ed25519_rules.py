"""The native core and libsodium sign alike, and judge alike at the edges too (ADR 0082)."""

import itertools

import nacl.bindings
import nacl.exceptions
import pytest
from evm_native import verify_ed25519
from hypothesis import given
from hypothesis import strategies as st

from shared.crypto.hashes import sha512_256
from shared.crypto.signing import Signer

PRIME = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
EIGHTH = 2707385501144840649318225287225658788936804267575313519463743609750303021022
"""Coordinate of a point of order eight; its negation is one too."""
SMALL_ORDER = (0, 1, PRIME - 1, EIGHTH, PRIME - EIGHTH)
NOT_CANONICAL = tuple(range(PRIME, 2**255))
SIGNER, MESSAGE = Signer(bytes(range(32))), b"message"


def points() -> list[bytes]:
    """Give encodings of points of small order and beyond the prime, with either sign."""
    coordinates = (*SMALL_ORDER, *NOT_CANONICAL)
    return [(y | sign << 255).to_bytes(32, "little") for y in coordinates for sign in (0, 1)]


def libsodium_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    try:
        nacl.bindings.crypto_sign_open(signature + message, public)
    except nacl.exceptions.BadSignatureError:
        return False
    return True


def assert_same(public: bytes, message: bytes, signature: bytes) -> bool:
    said = verify_ed25519(public, message, signature)
    assert said == libsodium_verifies(public, message, signature)
    return said


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200))
def test_both_sign_alike(seed, message):
    public, secret = nacl.bindings.crypto_sign_seed_keypair(seed)
    signer = Signer(seed)
    assert signer.public_key == public
    assert signer.sign_raw(message) == nacl.bindings.crypto_sign(message, secret)[:64]
    assert signer.sign(b"context", message) == signer.sign_raw(sha512_256(b"context" + message))


def test_honest_signatures_are_taken_by_both():
    for length in (0, 1, 32, 64, 127, 128, 10_000):
        message = bytes(length)
        assert assert_same(SIGNER.public_key, message, SIGNER.sign_raw(message))


def test_points_of_small_order_and_beyond_the_prime_are_refused_by_both():
    honest = SIGNER.sign_raw(MESSAGE)
    responses = [bytes(32), honest[32:], (1).to_bytes(32, "little"), (8).to_bytes(32, "little")]
    commitments = [*points(), honest[:32]]
    for key, commitment, response in itertools.product(points(), commitments, responses):
        assert not assert_same(key, MESSAGE, commitment + response)
    for commitment, response in itertools.product(points(), responses):
        assert not assert_same(SIGNER.public_key, MESSAGE, commitment + response)


@pytest.mark.parametrize("times", range(1, 9))
def test_a_response_above_the_order_is_refused_by_both(times):
    honest = SIGNER.sign_raw(MESSAGE)
    response = int.from_bytes(honest[32:], "little") + times * ORDER
    assert not assert_same(
        SIGNER.public_key, MESSAGE, honest[:32] + response.to_bytes(32, "little")
    )


@given(st.binary(max_size=200), st.integers(0, 95), st.integers(0, 7))
def test_changed_signatures_are_refused_by_both(message, at, bit):
    raw = bytearray(SIGNER.public_key + SIGNER.sign_raw(message))
    raw[at] ^= 1 << bit
    assert not assert_same(bytes(raw[:32]), message, bytes(raw[32:]))


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), st.binary())
def test_any_bytes_are_judged_alike(public, signature, message):
    assert_same(public, message, signature)


@given(st.binary(max_size=70), st.binary(max_size=70))
def test_what_has_another_length_is_no_signature(public, signature):
    if (len(public), len(signature)) != (32, 64):
        assert not verify_ed25519(public, MESSAGE, signature)
        assert not verify_ed25519(public, MESSAGE, signature, b"context")
