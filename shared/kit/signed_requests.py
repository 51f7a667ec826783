"""
Requests and answers that carry a node key's signature, for who proves a key without frames.

HTTP Message Signatures (RFC 9421) with Ed25519 over the verb, path, query, the digest of the body
(RFC 9530), and the key of the server that is meant, so that no other server takes the request. A
nonce serves once, and only for a minute. The answer is signed over its status, the digest of its
body and the nonce: both ends know whom they talk to.

What is signed is a text of several lines: every other signature of a node key is over 32 bytes.
"""

import base64
import hashlib
import hmac
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared.crypto.signing import BadSignature, Signer, verify_raw
from shared.errors import PeerBusy, PeerUnavailable
from shared.kit.callers import WrongServer

MAX_AGE_S = 60
"""How long a signature serves [s]."""
MAX_AHEAD_S = 10
"""How far the clock of the client may be ahead [s]."""
MAX_NONCES = 20_000
"""Nonces that are remembered, of all clients: 300 signed requests a second for a minute."""
MAX_NONCE_CHARACTERS = 64
MAX_TIME_DIGITS = 20
REQUIRED = frozenset({"@method", "@path", "@query", "content-digest", "qanat-server"})
REQUEST_TAG, ANSWER_TAG = "qanat-request", "qanat-answer"
ANSWER_COMPONENTS = ("@status", "content-digest", "qanat-nonce")

_INPUT = re.compile(
    r"([a-z][a-z0-9_-]*)="  # the label
    r'(\(((?:"[@a-z0-9-]+" ?)*)\)'  # components
    r'((?:;[a-z]+=(?:"[!#-~]*"|[0-9]+))*))'  # parameters
)
# A text holds no quote: else one input could be read in exponentially many ways, one after another.
_PARAMETER = re.compile(r';([a-z]+)=(?:"([!#-~]*)"|([0-9]+))')


class BadRequestSignature(PeerUnavailable, module="http", code=6):
    """The signature of a request does not prove what it should, or not now."""


@dataclass(frozen=True, slots=True)
class Message:
    """What of a request or answer can be signed."""

    fields: Mapping[str, str]
    """Header fields by lower-case name."""
    method: str = ""
    path: str = ""
    query: str = ""
    """Without the question mark."""
    status: int = 0

    def component(self, name: str) -> str:
        """Give a component's value, or raise `BadRequestSignature`."""
        match name:
            case "@method":
                return self.method
            case "@path":
                return self.path
            case "@query":
                return f"?{self.query}"
            case "@authority":
                return self.fields.get("host", "").lower()
            case "@status":
                return str(self.status)
            case _ if name in self.fields and not name.startswith("@"):
                return self.fields[name].strip()
        raise BadRequestSignature(f"{name!r} is signed and not there")


@dataclass(frozen=True, slots=True)
class SignatureInput:
    """What a signature says that it covers."""

    label: str
    text: str
    """As it stands in the header, without the label: signed with the rest."""
    components: tuple[str, ...]
    parameters: dict[str, str]


def digest_of(body: bytes) -> str:
    """Give the value of `Content-Digest`."""
    return f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"


def signature_base(message: Message, components: tuple[str, ...], text: str) -> bytes:
    """Give the bytes that are signed. Source: RFC 9421 section 2.5."""
    lines = [f'"{name}": {message.component(name)}' for name in components]
    return "\n".join([*lines, f'"@signature-params": {text}']).encode()


def _sign(
    signer: Signer, message: Message, components: tuple[str, ...], nonce: str, tag: str
) -> dict[str, str]:
    covered = " ".join(f'"{name}"' for name in components)
    text = (
        f'({covered});created={int(time.time())};nonce="{nonce}"'
        f';keyid="{signer.public_key.hex()}";alg="ed25519";tag="{tag}"'
    )
    signature = signer.sign_raw(signature_base(message, components, text))
    return {
        "Signature-Input": f"sig={text}",
        "Signature": f"sig=:{base64.b64encode(signature).decode()}:",
    }


def read_input(fields: Mapping[str, str]) -> SignatureInput:
    """Read `Signature-Input`, or raise `BadRequestSignature`."""
    found = _INPUT.fullmatch(fields.get("signature-input", "").strip())
    if found is None:
        raise BadRequestSignature("Signature-Input is not one signature of plain components")
    label, text, names, parameters = found.groups()
    components = tuple(name.strip('"') for name in names.split())
    values = {name: quoted or number for name, quoted, number in _PARAMETER.findall(parameters)}
    if len(set(components)) != len(components):
        raise BadRequestSignature("a component is named twice")
    return SignatureInput(label, text, components, values)


def verify(message: Message, given: SignatureInput, public_key: bytes) -> None:
    """Verify the signature of a message by a key, or raise `BadRequestSignature`."""
    signature = _read_signature(message.fields.get("signature", "").strip(), given.label)
    try:
        verify_raw(public_key, signature_base(message, given.components, given.text), signature)
    except BadSignature as error:
        raise BadRequestSignature(error.message) from None


def _read_signature(text: str, label: str) -> bytes:
    found = re.fullmatch(rf"{re.escape(label)}=:([A-Za-z0-9+/=]+):", text)
    try:
        return base64.b64decode(found.group(1) if found else "", validate=True)
    except ValueError:
        return b""


# -- clients -------------------------------------------------------------------------------------


def sign_request(
    signer: Signer, server_key: bytes, *, path: str, query: str, body: bytes, nonce: str = ""
) -> dict[str, str]:
    """Give the headers by which a `POST` proves a node key to one server."""
    fields = {"content-digest": digest_of(body), "qanat-server": server_key.hex()}
    message = Message(fields, "POST", path, query)
    nonce = nonce or secrets.token_hex(16)
    return {
        "Content-Digest": fields["content-digest"],
        "Qanat-Server": fields["qanat-server"],
    } | _sign(signer, message, tuple(sorted(REQUIRED)), nonce, REQUEST_TAG)


def verify_answer(
    fields: Mapping[str, str], status: int, body: bytes, *, server_key: bytes, nonce: str
) -> None:
    """Verify that a server's answer to a signed request is its own, or raise `WrongServer`."""
    try:
        _verify_answer(Message(fields, status=status), body, server_key, nonce)
    except BadRequestSignature as error:
        raise WrongServer(f"the answer proves no key: {error.message}") from None


def _verify_answer(message: Message, body: bytes, server_key: bytes, nonce: str) -> None:
    fields, given = message.fields, read_input(message.fields)
    if (given.components, given.parameters.get("tag")) != (ANSWER_COMPONENTS, ANSWER_TAG):
        raise BadRequestSignature("the answer's signature covers something else")
    if fields.get("qanat-nonce") != nonce or fields.get("content-digest") != digest_of(body):
        raise BadRequestSignature("the answer is to another request, or has another body")
    verify(message, given, server_key)


# -- servers -------------------------------------------------------------------------------------


def sign_answer(signer: Signer, nonce: str, status: int, body: bytes) -> dict[str, str]:
    """Give the headers by which an answer proves the server's key."""
    fields = {"content-digest": digest_of(body), "qanat-nonce": nonce}
    message = Message(fields, status=status)
    return fields | _sign(signer, message, ANSWER_COMPONENTS, nonce, ANSWER_TAG)


@dataclass(frozen=True, slots=True)
class SignedBy:
    """Who signed a request."""

    node_key: bytes
    nonce: str
    content_digest: str

    def verify_body(self, body: bytes) -> None:
        """Verify that the body is the one that was signed, or raise `BadRequestSignature`."""
        if not hmac.compare_digest(self.content_digest, digest_of(body)):
            raise BadRequestSignature("the body is another one than was signed")


class SignedRequests:
    """Verifies signed requests to one server; remembers nonces."""

    def __init__(
        self, server_key: bytes, knows: Callable[[bytes], bool], max_nonces: int = MAX_NONCES
    ) -> None:
        """Take the server's key, and who is no stranger: nobody else's signature is looked at."""
        self._server_key, self._knows, self._max_nonces = server_key, knows, max_nonces
        self._used: OrderedDict[tuple[bytes, str], float] = OrderedDict()
        """Nonces, with when each stops to matter; the oldest first."""

    def verify(self, message: Message) -> SignedBy:
        """
        Verify all but the body.

        Raises
        ------
        BadRequestSignature
            It is not by a known key, not for this server, too old, used before, or wrong.
        """
        given = read_input(message.fields)
        values, fields = given.parameters, message.fields
        if not REQUIRED.issubset(given.components):
            missing = " ".join(sorted(REQUIRED.difference(given.components)))
            raise BadRequestSignature(f"not signed: {missing}")
        if values.get("tag") != REQUEST_TAG or values.get("alg") != "ed25519":
            raise BadRequestSignature(f'needs alg="ed25519" and tag="{REQUEST_TAG}"')
        if fields.get("qanat-server") != self._server_key.hex():
            raise BadRequestSignature("the request is for another server")
        created, nonce = values.get("created", ""), values.get("nonce", "")
        now_s = time.time()
        is_time = created.isdigit() and len(created) <= MAX_TIME_DIGITS
        if not is_time or not now_s - MAX_AGE_S <= int(created) <= now_s + MAX_AHEAD_S:
            shown = created[:MAX_TIME_DIGITS] or "no time"
            raise BadRequestSignature(f"created at {shown}, and it is {now_s:.0f}")
        if not 16 <= len(nonce) <= MAX_NONCE_CHARACTERS:
            raise BadRequestSignature(f"a nonce has 16 to {MAX_NONCE_CHARACTERS} characters")
        try:
            key = bytes.fromhex(values.get("keyid", ""))
        except ValueError:
            key = b""
        if not self._knows(key):
            raise BadRequestSignature("keyid is the key of no node that is known here")
        verify(message, given, key)
        self._use(key, nonce, now_s)
        return SignedBy(key, nonce, fields["content-digest"])

    def _use(self, key: bytes, nonce: str, now_s: float) -> None:
        while self._used and next(iter(self._used.values())) < now_s:
            self._used.popitem(last=False)
        if (key, nonce) in self._used:
            raise BadRequestSignature("the nonce was used before")
        if len(self._used) >= self._max_nonces:
            raise PeerBusy("too many signed requests in a minute")
        self._used[key, nonce] = now_s + MAX_AGE_S + MAX_AHEAD_S
