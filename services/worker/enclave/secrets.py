"""Secrets of an app, as the chain stores them: opened inside, for the app's environment."""

import re

import evm_native

from services.worker.enclave.protocol import SealedSecret
from shared.errors import Rejected
from shared.types.app_secrets import NAME_CONTEXT, VALUE_CONTEXT, decode_envelope

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEPT = re.compile(
    r"(PYTHON|LD_|ROFL_|DSTACK_|SSL_|OPENSSL_|MALLOC_|GLIBC_).*|.*_(PROXY|CA_BUNDLE)|"
    r"PATH|HOME|TMPDIR|LC_ALL|LANG|IFS|ENV|BASH_ENV",
    re.IGNORECASE,
)
"""
Variables that say how the program is run or whom it trusts, which no secret replaces.

A secret is sealed to a key that everybody knows, and the host says which there are.
"""


def open_secrets(sek: bytes, sealed: tuple[SealedSecret, ...]) -> dict[str, str]:
    """
    Give the variables that an app's secrets make: the name as it is, other characters as `_`.

    One that does not open, or is no text, is left out, as upstream: it was sealed to another key.
    Nobody else reads them; that the owner of the app sealed them is not proven.
    """
    variables = {}
    for one in sealed:
        try:
            envelope = decode_envelope(one.envelope)
            key = evm_native.mrae_key(sek, envelope.pk)
            name = _open(key, envelope.nonce, envelope.name, NAME_CONTEXT)
            value = _open(key, envelope.nonce, envelope.value, VALUE_CONTEXT)
        except (Rejected, evm_native.InvalidTag, UnicodeDecodeError):
            continue
        variable = re.sub(r"[^A-Za-z0-9_]", "_", name)
        if _VARIABLE.fullmatch(variable) and not _KEPT.fullmatch(variable) and "\0" not in value:
            variables[variable] = value
    return variables


def _open(key: bytes, nonce: bytes, sealed: bytes, context: bytes) -> str:
    return evm_native.deoxysii_open(key, nonce, sealed, context).decode()
