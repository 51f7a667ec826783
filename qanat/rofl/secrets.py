"""
Secrets of an app, sealed so that only its instances read them.

Source: oasisprotocol/cli `build/rofl/secrets.go`.
"""

import re
import secrets
from collections.abc import Iterator

from evm_native import deoxysii_seal, mrae_key, x25519_public

from shared.errors import Rejected
from shared.types.app_secrets import NAME_CONTEXT, VALUE_CONTEXT, SecretEnvelope

MAX_SECRET_BYTES = 15 * 1024
"""What the chain stores is at most 16 KiB, and an envelope is larger than what is in it."""
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_ASSIGNMENT = re.compile(
    r"(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.-]{0,127})\s*=\s*(?P<rest>.*)"
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}


class BadSecret(Rejected, module="rofl_cli", code=3):
    """A secret has no name that an app could ask for, or is too long."""


def seal_secret(name: str, value: bytes, sek: bytes) -> SecretEnvelope:
    """Seal a secret to an app's key (X25519, 32 bytes), or raise `BadSecret`."""
    if not NAME.fullmatch(name):
        raise BadSecret(f"{name!r} is no name: letters, digits, '_', '-' and '.', up to 128")
    if len(value) > MAX_SECRET_BYTES:
        raise BadSecret(f"{name} has {len(value)} bytes, over {MAX_SECRET_BYTES}")
    secret, nonce = secrets.token_bytes(32), secrets.token_bytes(15)
    key = mrae_key(secret, sek)
    return SecretEnvelope(
        pk=x25519_public(secret),
        nonce=nonce,
        name=deoxysii_seal(key, nonce, name.encode(), NAME_CONTEXT),
        value=deoxysii_seal(key, nonce, value, VALUE_CONTEXT),
    )


def read_dotenv(text: str) -> Iterator[tuple[str, bytes]]:
    """
    Read `KEY=VALUE` lines, as `.env` files have them.

    Values in quotes may span lines, and have escapes where the quotes are double; others end at
    ` #`. Raises `BadSecret` for a line that is none.
    """
    lines = iter(enumerate(text.splitlines(), 1))
    for number, line in lines:
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        found = _ASSIGNMENT.fullmatch(stripped)
        if found is None:
            raise BadSecret(f"line {number} is no KEY=VALUE")
        rest = found["rest"]
        if rest[:1] in ('"', "'"):
            quote, rest = rest[0], rest[1:]
            while (end := _closing(rest, quote)) < 0:
                following = next(lines, None)
                if following is None:
                    raise BadSecret(f"the quote that line {number} opens is never closed")
                rest = f"{rest}\n{following[1]}"
            value = rest[:end]
            if quote == '"':
                value = re.sub(r"\\(.)", lambda hit: _ESCAPES.get(hit[1], hit[0]), value)
        else:
            value = re.split(r"\s#", rest, maxsplit=1)[0].strip()
        yield found["name"], value.encode()


def _closing(text: str, quote: str) -> int:
    """Place of the quote that ends a value; -1 where it goes on."""
    at = 0
    while at < len(text):
        if text[at] == "\\" and quote == '"':
            at += 1
        elif text[at] == quote:
            return at
        at += 1
    return -1
