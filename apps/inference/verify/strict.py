"""
Each byte of a quote counts.

DCAP lets a quote carry what no signature covers: zeros after its end, any text between the
certificates, a root that verifiers replace by their own, and a kind that nobody looks at. A
verifier of archived evidence refuses those, so that one quote has one form.
"""

import binascii
import re

from apps.inference.errors import NotCanonical
from shared.tee.quote import (
    CERTIFICATION_PCK_CHAIN,
    CERTIFICATION_QE_REPORT,
    HEADER_BYTES,
    LENGTH_BYTES,
    TD_REPORT_BYTES,
    parse_quote,
)

_BEGIN, _END = "-----BEGIN CERTIFICATE-----\n", "-----END CERTIFICATE-----\n"
_LINE_CHARACTERS = 64
_PEM = re.compile(re.escape(_BEGIN) + r"([A-Za-z0-9+/=\n]+)" + re.escape(_END))
_SIGNED_BYTES = HEADER_BYTES + TD_REPORT_BYTES
_KIND_BYTES = 2
_KEY_AND_SIGNATURE_BYTES = 128


def verify_canonical_quote(quote: bytes, root_ca: bytes) -> None:
    """
    Verify that a TDX quote has no bytes that nothing covers.

    Parameters
    ----------
    quote : `bytes`
        Not yet verified.
    root_ca : `bytes`
        DER; verifiers take the pinned root, so the one in the quote must be equal to it.

    Raises
    ------
    NotCanonical, MalformedQuote, UnsupportedQuote
        See each class.
    """
    parse_quote(quote)
    start = _SIGNED_BYTES + LENGTH_BYTES
    length = int.from_bytes(quote[_SIGNED_BYTES:start], "little")
    if len(quote) != start + length:
        raise NotCanonical("the quote does not end where it says")
    kind = start + _KEY_AND_SIGNATURE_BYTES
    # The chain is the last part; its kind and length stand before it.
    at = quote.find(_BEGIN.encode())
    head = at - LENGTH_BYTES
    if head < kind or int.from_bytes(quote[head:at], "little") != len(quote) - at:
        raise NotCanonical("the quote does not end with its certificates")
    kinds = [_number(quote, place) for place in (kind, head - _KIND_BYTES)]
    if kinds != [CERTIFICATION_QE_REPORT, CERTIFICATION_PCK_CHAIN]:
        raise NotCanonical("the certification data are not of the kinds of a quote of version 4")
    if _canonical_chain(quote[at:].decode("ascii", errors="replace"))[-1] != root_ca:
        raise NotCanonical("the chain in the quote ends in another certificate than the root")


def _number(quote: bytes, at: int) -> int:
    return int.from_bytes(quote[at : at + _KIND_BYTES], "little")


def _canonical_chain(chain: str) -> list[bytes]:
    bodies = _PEM.findall(chain)
    try:
        certificates = [binascii.a2b_base64(body) for body in bodies]
    except ValueError as error:
        raise NotCanonical("a certificate is not PEM") from error
    if not bodies or "".join(map(_pem, certificates)) != chain:
        raise NotCanonical("the chain has other bytes than its certificates")
    return certificates


def _pem(der: bytes) -> str:
    text = binascii.b2a_base64(der, newline=False).decode()
    lines = [text[at : at + _LINE_CHARACTERS] for at in range(0, len(text), _LINE_CHARACTERS)]
    return _BEGIN + "".join(f"{line}\n" for line in lines) + _END
