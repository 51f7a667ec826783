"""
Secrets of an app, as the chain stores them: opened inside, for the app's environment.

They are sealed to a key that everybody knows, so that who may write them is the app's admin is for
the chain to say: its record of the app is proven under the state root that consensus has.
"""

import re
from collections.abc import Mapping

import evm_native

from services.worker.enclave.errors import RecordUnproven
from shared.encoding import cbor
from shared.errors import Rejected
from shared.rules.app_ids import app_key
from shared.types.app_secrets import NAME_CONTEXT, VALUE_CONTEXT, decode_envelope

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEPT = re.compile(
    r"(PYTHON|LD_|ROFL_|DSTACK_|SSL_|OPENSSL_|MALLOC_|GLIBC_).*|.*_(PROXY|CA_BUNDLE)|"
    r"PATH|HOME|TMPDIR|LC_ALL|LANG|IFS|ENV|BASH_ENV",
    re.IGNORECASE,
)
"""Variables that say how the program is run or whom it trusts, which no secret replaces."""


def read_secrets(state_root: bytes, untrusted: bytes, app_id: bytes) -> dict[str, bytes]:
    """
    Give the sealed secrets of an app by a proof of its record.

    Raises
    ------
    RecordUnproven
        It proves something else, or that there is no such app.
    """
    try:
        record = evm_native.verify_proof(state_root, untrusted, app_key(app_id))
        fields = None if record is None else cbor.decode(record)
    except (evm_native.StateError, Rejected) as error:
        raise RecordUnproven(f"the proof of the app's record does not hold: {error}") from None
    if not isinstance(fields, dict):
        raise RecordUnproven("there is no record of the app")
    # The chain verified its form when the app's admin set them.
    secrets: dict[str, bytes] = fields["secrets"]
    return secrets


def open_secrets(sek: bytes, sealed: Mapping[str, bytes]) -> dict[str, str]:
    """
    Give the variables that an app's secrets make: the name as it is, other characters as `_`.

    One that does not open, or is no text, is left out, as upstream: it was sealed to another key.
    """
    variables = {}
    for raw in sealed.values():
        try:
            envelope = decode_envelope(raw)
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
