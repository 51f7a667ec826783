"""Secrets are sealed as upstream's tool seals them, and `.env` files are read as it reads them."""

import pytest
from evm_native import deoxysii_open, mrae_key, x25519_public

from qanat.rofl.secrets import MAX_SECRET_BYTES, BadSecret, read_dotenv, seal_secret
from shared.types.app_secrets import decode_envelope, encode_envelope

SECRET = bytes(range(32))


def test_only_the_app_opens_name_and_value() -> None:
    envelope = decode_envelope(encode_envelope(seal_secret("TOKEN", b"s3", x25519_public(SECRET))))
    key = mrae_key(SECRET, envelope.pk)
    assert deoxysii_open(key, envelope.nonce, envelope.name, b"name") == b"TOKEN"
    assert deoxysii_open(key, envelope.nonce, envelope.value, b"value") == b"s3"
    assert seal_secret("TOKEN", b"s3", x25519_public(SECRET)).pk != envelope.pk


@pytest.mark.parametrize(
    ("name", "size"), [("", 1), ("1st", 1), ("a b", 1), ("a" * 129, 1), ("a", MAX_SECRET_BYTES + 1)]
)
def test_what_no_app_could_ask_for_is_refused(name: str, size: int) -> None:
    with pytest.raises(BadSecret):
        seal_secret(name, bytes(size), x25519_public(SECRET))


def test_an_env_file_is_read() -> None:
    text = """# comment
export A=one # more
B = "two\\nlines \\"q\\"" # more
C='raw \\n'
D="first
second"
E=
F=has#hash
"""
    assert dict(read_dotenv(text)) == {
        "A": b"one",
        "B": b'two\nlines "q"',
        "C": b"raw \\n",
        "D": b"first\nsecond",
        "E": b"",
        "F": b"has#hash",
    }


@pytest.mark.parametrize("text", ["no assignment", "A='open", "1A=x", 'A="open\\"'])
def test_what_is_no_env_file_is_told(text: str) -> None:
    with pytest.raises(BadSecret):
        dict(read_dotenv(text))
