"""
What a worker answers over HTTP. Everything that comes in or goes out is sealed.

Nothing of a request is written to a log: the progress of jobs is, by their ids.
"""

from collections.abc import Callable
from typing import Any

from anyio import CapacityLimiter, to_thread
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response

from apps.data_market.chain.attestation import bound_to
from apps.data_market.chain.uploads import MAX_UPLOAD_BYTES
from apps.data_market.errors import BadJob, NotReleased
from apps.data_market.worker.jobs import JobRunner
from apps.inference.documents.evidence import MockEvidence
from shared.errors import QanatError, Rejected
from shared.kit.bodies import Bodies, BodyTooLarge, BodyTooSlow

UPLOADS_AT_ONCE = 2
"""Each is opened and read in memory, some ten times its size."""
SEALED = "application/octet-stream"
STATUS_OF: dict[type[QanatError], int] = {BodyTooLarge: 413, BodyTooSlow: 408, NotReleased: 409}


def build_api(
    runner: JobRunner, about: dict[str, Any], quote: Callable[[bytes], MockEvidence]
) -> FastAPI:
    """
    Make the application.

    Parameters
    ----------
    runner : `JobRunner`
    about : `dict`
        What a client must know to seal something.
    quote : callable
        Quotes this instance with up to 64 bytes; it blocks.
    """
    app = FastAPI(title="Data market worker", description="The TEE is a MOCK.", version="1")
    app.add_exception_handler(QanatError, _answer_error)
    bodies = Bodies(MAX_UPLOAD_BYTES, UPLOADS_AT_ONCE * MAX_UPLOAD_BYTES)
    limiter = CapacityLimiter(UPLOADS_AT_ONCE)

    async def taken(request: Request, take: Callable[[bytes], bytes]) -> bytes:
        body = await bodies.read(request.receive)
        return await to_thread.run_sync(take, body, limiter=limiter)

    @app.get("/v1/market")
    async def market() -> dict[str, Any]:
        """Say which market this is, who works here, and to which key uploads are sealed."""
        return about

    @app.get("/v1/market/evidence")
    def evidence(nonce: str) -> dict[str, Any]:
        """Quote what `/v1/market` says, for a challenge of 64 hex digits."""
        return quote(bound_to(_id_of(nonce), about)).document()

    @app.post("/v1/datasets", openapi_extra=_sealed_body())
    async def dataset(request: Request) -> dict[str, str]:
        """Take rows, sealed; they must be those that the chain has a commitment of."""
        return {"commitment": (await taken(request, runner.take_dataset)).hex()}

    @app.post("/v1/orders", openapi_extra=_sealed_body())
    async def order(request: Request) -> dict[str, str]:
        """Take a model owner's validation rows and parameters, sealed."""
        return {"job": (await taken(request, runner.take_order)).hex()}

    @app.get("/v1/jobs/{job}")
    def standing(job: str) -> dict[str, Any]:
        """Say where a job stands."""
        found = runner.standing(_id_of(job))
        return {
            "state": found.state.name.lower(),
            "waits_for": found.waits_for,
            "refused": found.refused,
        }

    @app.get("/v1/jobs/{job}/release")
    def release(job: str) -> Response:
        """Give model and card of a settled job, sealed to its owner."""
        return Response(runner.release(_id_of(job)), media_type=SEALED)

    return app


def _sealed_body() -> dict[str, Any]:
    schema = {"schema": {"type": "string", "format": "binary"}}
    return {"requestBody": {"required": True, "content": {SEALED: schema}}}


def _id_of(text: str) -> bytes:
    """Of a job, or a challenge."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != 32:
        raise BadJob("a job, as a challenge, is 64 hex digits")
    return found


async def _answer_error(_: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, QanatError):
        raise error
    status = STATUS_OF.get(type(error), 400 if isinstance(error, Rejected) else 503)
    body = {"module": error.module, "code": error.code, "message": error.message}
    return JSONResponse({"error": body}, status)
