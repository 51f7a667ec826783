"""SHA-512/256 is one function, whoever computes it."""

import hashlib

from hypothesis import example, given
from hypothesis import strategies as st

from shared.crypto.hashes import NATIVE_UP_TO_BYTES, sha512_256


@given(st.binary(max_size=2 * NATIVE_UP_TO_BYTES))
@example(bytes(NATIVE_UP_TO_BYTES))
@example(bytes(NATIVE_UP_TO_BYTES + 1))
def test_the_native_hash_is_that_of_openssl(message):
    assert sha512_256(message) == hashlib.new("sha512_256", message).digest()
