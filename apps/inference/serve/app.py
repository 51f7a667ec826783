"""The service over HTTP: OpenAI's routes, and those of `aci/1`."""

import hmac
import json
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from apps.inference.documents.canonical import Document
from apps.inference.e2ee.fields import CHAT, COMPLETIONS, EMBEDDINGS
from apps.inference.e2ee.gate import Gate
from apps.inference.errors import BadApiKey, E2eeUnsupportedEndpoint, NoSuchReceipt
from apps.inference.serve.engine import Models
from apps.inference.serve.exchanges import JSON_TYPE, Exchanges
from apps.inference.serve.failures import show_failure
from apps.inference.serve.identity import Identity
from apps.inference.serve.legacy import Legacy
from shared.crypto.hashes import sha256
from shared.errors import QanatError
from shared.kit.bodies import Bodies

MAX_BODY_BYTES = 1 << 20
ALL_BODIES_BYTES = 16 << 20
"""Of all requests that are being read at once."""
MAX_KEY_CHARACTERS = 512
Answer = Callable[[Request], Awaitable[Response]]


class ApiKeys:
    """Who may ask: keys by their hash; without any, everybody may."""

    def __init__(self, hashes: frozenset[bytes]) -> None:
        self._hashes = hashes

    def owner_of(self, headers: dict[str, str]) -> bytes | None:
        """
        Give the hash of the key that a request shows, known or not; None without one.

        Source: `Authorization: Bearer KEY`, as OpenAI has it.
        """
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key or len(key) > MAX_KEY_CHARACTERS:
            return None
        return sha256(key.strip().encode())

    def admit(self, headers: dict[str, str]) -> bytes | None:
        """Give the owner of a prompt, or raise `BadApiKey`."""
        owner = self.owner_of(headers)
        if not self._hashes:
            return owner
        if owner is None or not any(hmac.compare_digest(owner, one) for one in self._hashes):
            raise BadApiKey("no such API key")
        return owner


def build_app(
    exchanges: Exchanges, identity: Identity, models: Models, legacy: Legacy, keys: ApiKeys
) -> Starlette:
    """Make the application."""
    bodies = Bodies(MAX_BODY_BYTES, ALL_BODIES_BYTES)

    def prompt(endpoint: str) -> Answer:
        async def answer(request: Request) -> Response:
            headers = _headers_of(request)
            owner = keys.admit(headers)
            body = await bodies.read(request.receive)
            return await exchanges.answer(endpoint, headers, body, owner, request.is_disconnected)

        return _shown(exchanges, answer)

    async def attestation(request: Request) -> Response:
        return _json(await identity.report(request.query_params.get("nonce")))

    async def receipt(request: Request) -> Response:
        owner = keys.owner_of(_headers_of(request))
        return _json(exchanges.receipts.find(request.path_params["id"], owner).document)

    async def proof(request: Request) -> Response:
        owner = keys.owner_of(_headers_of(request))
        document = exchanges.receipts.find(request.path_params["id"], owner).document
        if exchanges.meter is None:
            raise NoSuchReceipt("this service commits to no receipts")
        return _json(exchanges.meter.proof(document))

    async def listed(request: Request) -> Response:
        keys.admit(_headers_of(request))
        data = [_model(name) for name in models.digests]
        return _json({"object": "list", "data": list(data)})

    async def health(_: Request) -> Response:
        return _json({"status": "ok", "tee": "MOCK"})

    async def report(request: Request) -> Response:
        return _json(await legacy.report(dict(request.query_params)))

    async def signature(request: Request) -> Response:
        owner = keys.owner_of(_headers_of(request))
        kept = exchanges.receipts.find(request.path_params["id"], owner)
        algo = request.query_params.get("signing_algo", "ecdsa")
        return _json(legacy.signature(kept.legacy_text, algo))

    gets = {
        "/v1/models": listed,
        "/v1/aci/attestation": attestation,
        "/v1/aci/receipts/{id}": receipt,
        "/v1/qanat/receipts/{id}/proof": proof,
        "/v1/attestation/report": report,
        "/v1/signature/{id}": signature,
        "/health": health,
    }
    sourced, taking = models.sourced, []
    if sourced is not None:
        take = sourced.take

        async def source(request: Request) -> Response:
            return _json(await take(await bodies.read(request.receive)))

        taking = [Route("/v1/knowledge/documents", _shown(exchanges, source), methods=["POST"])]
    return Starlette(
        routes=[
            *taking,
            *(Route(one, prompt(one), methods=["POST"]) for one in (CHAT, COMPLETIONS, EMBEDDINGS)),
            *(Route(path, _shown(exchanges, one)) for path, one in gets.items()),
        ],
        exception_handlers={HTTPException: _not_served},
    )


def _shown(exchanges: Exchanges, answer: Answer) -> Answer:
    async def shown(request: Request) -> Response:
        try:
            if request.method != "POST" and Gate.is_encrypted(_headers_of(request)):
                raise E2eeUnsupportedEndpoint("this route has no encrypted form")
            response = await answer(request)
        except QanatError as error:
            status, body = show_failure(error)
            response = Response(body, status, media_type=JSON_TYPE)
        for name, value in exchanges.headers().items():
            response.headers[name] = value
        return response

    return shown


async def _not_served(_: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    body = {"message": "no such route", "type": "invalid_request_error", "param": None}
    return Response(json.dumps({"error": body | {"code": None}}), status, media_type=JSON_TYPE)


def _model(name: str) -> Document:
    return {"id": name, "object": "model", "created": 0, "owned_by": "qanat"}


def _headers_of(request: Request) -> dict[str, str]:
    return dict(request.headers.items())


def _json(document: Document) -> Response:
    return Response(json.dumps(document), media_type=JSON_TYPE)
