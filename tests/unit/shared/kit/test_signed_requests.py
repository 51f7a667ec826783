"""A `POST` proves a node key, to one server, once, and not for long; so does its answer."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any, Protocol

import httpx
import pytest

from qanat.sign_request import NodeKeyAuth
from shared.crypto.signing import Signer
from shared.encoding.contract import peers_only
from shared.errors import PeerBusy
from shared.kit import limits, signed_requests
from shared.kit.callers import WrongServer
from shared.kit.service import Service
from shared.kit.signed_requests import (
    BadRequestSignature,
    Message,
    SignedRequests,
    digest_of,
    read_input,
    sign_answer,
    sign_request,
    signature_base,
    verify_answer,
)
from tests.support.wire import CLIENT, SERVER, serving

KNOWN, OTHER = Signer(b"known".ljust(32)), Signer(b"other".ljust(32))
BODY = b'{"page": "0x00"}'
PATH, QUERY = "/v1/books/write", "runtime=80"


def server(max_nonces: int = 100) -> SignedRequests:
    names = {CLIENT.public_key, KNOWN.public_key}
    return SignedRequests(SERVER.public_key, names.__contains__, max_nonces)


def request(signer: Signer = CLIENT, **changes: str) -> Message:
    signed = sign_request(signer, SERVER.public_key, path=PATH, query=QUERY, body=BODY)
    fields = {name.lower(): value for name, value in signed.items()} | changes
    return Message(fields, "POST", PATH, QUERY)


def test_the_base_is_that_of_the_specification() -> None:
    """RFC 9421, B.2.6, with the key of B.1.4."""
    public = bytes.fromhex("26b40b8f93fff3d897112f7ebc582b232dbd72517d082fe83cfb30ddce43d1bb")
    text = (
        '("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"'
    )
    fields = {
        "host": "example.com",
        "date": "Tue, 20 Apr 2021 02:07:55 GMT",
        "content-type": "application/json",
        "content-length": "18",
        "signature-input": f"sig-b26={text}",
        "signature": "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0"
        "w6vuQv5lIp5WPpBKRCw==:",
    }
    message = Message(fields, "POST", "/foo", "param=Value&Pet=dog")
    given = read_input(fields)
    assert given.parameters == {"created": "1618884473", "keyid": "test-key-ed25519"}
    signed_requests.verify(message, given, public)
    base = signature_base(message, given.components, given.text)
    assert base.startswith(b'"date": Tue, 20 Apr 2021 02:07:55 GMT\n"@method": POST\n')
    with pytest.raises(BadRequestSignature):
        signed_requests.verify(replace(message, path="/bar"), given, public)


def test_a_signed_request_says_who_asks() -> None:
    signed = server().verify(request())
    assert signed.node_key == CLIENT.public_key
    signed.verify_body(BODY)
    with pytest.raises(BadRequestSignature, match="another one"):
        signed.verify_body(BODY + b" ")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda m: replace(m, path="/v1/books/burn"),
        lambda m: replace(m, query=""),
        lambda m: replace(m, method="PUT"),
        lambda m: replace(m, fields=m.fields | {"content-digest": digest_of(b"x")}),
        lambda m: replace(m, fields=m.fields | {"qanat-server": OTHER.public_key.hex()}),
        lambda m: replace(m, fields=m.fields | {"signature": "sig=:AAAA:"}),
        lambda m: replace(m, fields=m.fields | {"signature": "x"}),
        lambda m: replace(m, fields=m.fields | {"signature-input": "sig=()"}),
        lambda m: replace(m, fields=m.fields | {"signature-input": "sig=(" * 1000}),
        lambda m: replace(
            m,
            fields=m.fields
            | {"signature-input": m.fields["signature-input"].replace('"@path" ', "")},
        ),
        lambda m: replace(
            m, fields=m.fields | {"signature-input": m.fields["signature-input"].replace("=", "=9")}
        ),
        lambda m: replace(m, fields={k: v for k, v in m.fields.items() if k != "content-digest"}),
    ],
)
def test_a_signature_holds_for_nothing_else(spoil: Any) -> None:
    with pytest.raises(BadRequestSignature):
        server().verify(spoil(request()))


def test_strangers_signatures_are_not_looked_at() -> None:
    with pytest.raises(BadRequestSignature, match="known here"):
        server().verify(request(OTHER))


@pytest.mark.parametrize(
    "spoiled",
    [
        "sig=()" + ';a="x"' * 5_000 + "!",
        'sig=("@method" "@path" "@query" "content-digest" "qanat-server")'
        + ';tag="qanat-request"' * 1_000,
        'sig=("' + "a" * 30_000 + "!",
        "sig=(" + '"a" ' * 8_000 + "!",
        "s" * 60_000,
    ],
)
def test_no_strangers_header_costs_more_than_to_read_it(spoiled: str) -> None:
    """Read in all ways that it could be meant, the first would take longer than the universe."""
    begun_s = time.process_time()
    with pytest.raises(BadRequestSignature):
        server().verify(request(**{"signature-input": spoiled}))
    assert time.process_time() - begun_s < 1


def test_a_time_of_many_digits_is_no_bug() -> None:
    message = request()
    given = message.fields["signature-input"]
    digits = read_input(message.fields).parameters["created"]
    spoiled = given.replace(f"created={digits}", f"created={'9' * 5_000}")
    with pytest.raises(BadRequestSignature, match="created at"):
        server().verify(request(**{"signature-input": spoiled}))


def test_a_signature_serves_once_and_not_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    one, message, now_s = server(2), request(), time.time()
    one.verify(message)
    with pytest.raises(BadRequestSignature, match="used before"):
        one.verify(message)
    one.verify(request())
    with pytest.raises(PeerBusy):
        one.verify(request())
    late = request()
    for moved_s in (61, -11):
        monkeypatch.setattr(time, "time", lambda moved_s=moved_s: now_s + moved_s)
        with pytest.raises(BadRequestSignature, match="created"):
            server().verify(late)
    # Old nonces make room, and not before their signatures have expired.
    monkeypatch.setattr(time, "time", lambda: now_s + 71)
    one.verify(request())
    with pytest.raises(BadRequestSignature, match="created"):
        one.verify(message)


def test_an_answer_is_of_one_server_to_one_request() -> None:
    answer = {k.lower(): v for k, v in sign_answer(SERVER, "n" * 16, 200, BODY).items()}
    key, nonce = SERVER.public_key, "n" * 16
    verify_answer(answer, 200, BODY, server_key=key, nonce=nonce)
    for fields, status, body, server_key, wanted in (
        (answer, 200, BODY, OTHER.public_key, nonce),
        (answer, 200, BODY, key, "m" * 16),
        (answer, 200, b"{}", key, nonce),
        (answer, 201, BODY, key, nonce),
        ({}, 200, BODY, key, nonce),
        (answer | {"content-digest": digest_of(b"{}")}, 200, b"{}", key, nonce),
    ):
        with pytest.raises(WrongServer):
            verify_answer(fields, status, body, server_key=server_key, nonce=wanted)


def test_no_other_signature_of_a_node_key_looks_like_one() -> None:
    message = request()
    given = read_input(message.fields)
    base = signature_base(message, given.components, given.text)
    # Every other one is over a hash of 32 bytes.
    assert base.startswith(b'"@method": POST')
    assert len(base) > 32


# -- on a port ---------------------------------------------------------------------------------


class Book(Protocol):
    @peers_only
    async def write(self, page: bytes) -> int: ...

    async def read(self, page: bytes) -> int: ...


class RealBook:
    async def write(self, page: bytes) -> int:
        return len(page)

    async def read(self, page: bytes) -> int:
        return len(page)


@pytest.fixture
async def url() -> AsyncIterator[str]:
    service = Service(
        (Book, RealBook()), admits=CLIENT.public_key.__eq__, knows=KNOWN.public_key.__eq__
    )
    async with serving(service, "books") as server:
        yield f"http://127.0.0.1:{server.port}"


async def post(url: str, method: str, body: bytes, auth: Any = None) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.post(f"{url}/v1/books/{method}", content=body, auth=auth)


@pytest.mark.enable_socket
async def test_a_peer_asks_by_post(url: str) -> None:
    answer = await post(url, "write", BODY, NodeKeyAuth(CLIENT, SERVER.public_key))
    assert (answer.status_code, answer.json()) == (200, 1)
    large = b'{"page": "0x%s"}' % (b"00" * limits.MIB)
    answer = await post(url, "write", large, NodeKeyAuth(CLIENT, SERVER.public_key))
    assert answer.json() == limits.MIB
    assert (await post(url, "read", BODY, NodeKeyAuth(CLIENT, SERVER.public_key))).json() == 1


@pytest.mark.enable_socket
async def test_who_is_no_peer_does_not(url: str) -> None:
    assert (await post(url, "write", BODY)).status_code == 403
    known = NodeKeyAuth(KNOWN, SERVER.public_key)
    assert (await post(url, "write", BODY, known)).status_code == 403
    assert (await post(url, "read", BODY, known)).status_code == 200
    for stranger in (NodeKeyAuth(OTHER, SERVER.public_key), NodeKeyAuth(CLIENT, OTHER.public_key)):
        assert (await post(url, "read", BODY, stranger)).status_code == 401
    assert (await post(url, "read", BODY)).json() == 1


@pytest.mark.enable_socket
async def test_a_server_that_proves_no_key_is_noticed(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "shared.kit.node_app.sign_answer", lambda _, *rest: sign_answer(OTHER, *rest)
    )
    with pytest.raises(WrongServer):
        await post(url, "write", BODY, NodeKeyAuth(CLIENT, SERVER.public_key))
