"""The HTTP edge: FastAPI with its description at `/docs`."""

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exception_handlers import request_validation_exception_handler
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import ASGIApp

from services.runtime_gateway import metrics
from services.runtime_gateway.edge import MAX_BODY_BYTES, Edge, answer_error
from services.runtime_gateway.node import RuntimeGatewayNode
from services.runtime_gateway.rounds import FollowerTooSlow, Rewound, SeenRound
from services.runtime_gateway.shapes import (
    from_json,
    read_hex,
    show_events,
    show_place,
    show_round,
    to_json,
)
from shared.encoding import cbor
from shared.errors import BadRequest, QanatError, Rejected, RuntimeRejected
from shared.gateways.awake import Awake
from shared.gateways.past import TooLongAgo
from shared.kit.node_app import describe

MAX_WAIT_S = 60.0
MAX_FOLLOWERS = 64


class NotFound(Rejected, module="runtime_gateway", code=2):
    """There is no such round, or no such transaction among the newest rounds."""


class TooManyFollowers(Rejected, module="runtime_gateway", code=3):
    """Too many clients follow events already."""


class TransactionIn(BaseModel):
    """A signed transaction."""

    model_config = ConfigDict(extra="forbid")
    raw: str = Field(description="`0x…`, as the runtime SDK encodes it", max_length=MAX_BODY_BYTES)
    wait_s: float = Field(5.0, ge=0, le=MAX_WAIT_S, description="for how long to wait for a round")


class QueryIn(BaseModel):
    """A question to the runtime."""

    model_config = ConfigDict(extra="forbid")
    method: str = Field(max_length=128)
    args: Any = Field(None, description="JSON; `0x…` are bytes")
    args_cbor: str | None = Field(None, description="`0x…`, instead of `args`")
    round: int | None = Field(None, ge=0, lt=2**63, description="the newest if it is left out")


def build_api(
    node: RuntimeGatewayNode, hosts: tuple[str, ...] = ("*",), origins: tuple[str, ...] = ("*",)
) -> ASGIApp:
    """Make the application."""
    app = FastAPI(
        title="ParaTime", description="A ParaTime of Qanat. The TEE is a MOCK.", version="1"
    )
    app.add_exception_handler(QanatError, _answer_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid)

    @app.get("/health")
    async def health() -> JSONResponse:
        """Say whether clients may come."""
        described = node.describe()
        return JSONResponse(described, 200 if described["ready"] else 503)

    @app.get("/status")
    async def status() -> dict[str, Any]:
        """Say the same, always with 200."""
        return node.describe()

    @app.get("/metrics")
    async def show_metrics() -> Response:
        """Give all metrics."""
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    # Who asks sees the time as it is (ADR 0087).
    asked = [Depends(node.awake.renew)]

    @app.get("/v1/info", dependencies=asked)
    async def info() -> dict[str, Any]:
        """Give what a client needs to sign and encrypt, and what the program offers."""
        chain = node.info
        offers = cbor.decode(await node.query("core.RuntimeInfo", b"", None))
        shown = {
            "runtime_id": "0x" + chain.runtime_id.hex(),
            "chain_context": chain.chain_context,
            "confidential": chain.confidential,
            "runtime": to_json(offers),
            "mock_tee": True,
        }
        if chain.confidential:
            key = cbor.decode(await node.query("core.CallDataPublicKey", b"", None))
            shown["call_data_key"] = to_json(key)
        return shown

    @app.post("/v1/transactions", dependencies=asked)
    async def submit(body: TransactionIn) -> dict[str, Any]:
        """Submit a transaction and wait until it is in a round, for as long as asked."""
        taken = await node.submit(read_hex(body.raw, "raw"))
        if taken.module:
            raise RuntimeRejected(taken.module, taken.code, taken.message)
        tx_hash = taken.tx_hash or b""
        place = await node.wait_for(tx_hash, body.wait_s)
        return {"hash": "0x" + tx_hash.hex()} | ({} if place is None else show_place(place))

    @app.get("/v1/transactions/{tx_hash}", dependencies=asked)
    async def transaction(tx_hash: str) -> dict[str, Any]:
        """Give a transaction of the newest rounds."""
        place = node.rounds.find_transaction(read_hex(tx_hash, "hash"))
        if place is None:
            raise NotFound(f"{tx_hash} is in none of the newest rounds")
        return show_place(place)

    @app.post("/v1/query", dependencies=asked)
    async def query(body: QueryIn) -> dict[str, Any]:
        """Ask the runtime."""
        args = (
            cbor.encode(from_json(body.args))
            if body.args_cbor is None
            else read_hex(body.args_cbor, "args_cbor")
        )
        answer = await node.query(body.method, args, body.round)
        return {"answer": to_json(cbor.decode(answer)), "answer_cbor": "0x" + answer.hex()}

    @app.get("/v1/rounds/{number}", dependencies=asked)
    async def round_(number: str) -> dict[str, Any]:
        """Give a round by number, or `latest`."""
        if number == "latest":
            found = node.rounds.newest
        elif number.isdecimal() and len(number) < 19:
            found = await node.find_round(int(number))
        else:
            raise BadRequest("a round is a number, or latest")
        if found is None:
            raise NotFound(f"round {number} is not here")
        return show_round(found)

    @app.get("/v1/events", dependencies=asked)
    async def events(
        from_round: Annotated[int | None, Query(ge=0)] = None,
        module: Annotated[str | None, Query(max_length=64)] = None,
    ) -> StreamingResponse:
        """Follow events (`text/event-stream`), each round's id being its number."""
        if node.rounds.follower_count >= MAX_FOLLOWERS:
            raise TooManyFollowers(f"{MAX_FOLLOWERS} clients follow already")
        return StreamingResponse(
            _stream(node.rounds.follow(from_round), module, node.awake),
            media_type="text/event-stream",
        )

    return Edge(app, hosts, origins)


async def _stream(
    rounds: AsyncIterator[SeenRound | Rewound], module: str | None, awake: Awake
) -> AsyncIterator[str]:
    with metrics.followers.track_inprogress():
        yield ": follow\n\n"
        try:
            async for round_ in rounds:
                # Who listens may ask for nothing else.
                awake.note()
                if isinstance(round_, Rewound):
                    yield _server_sent("rewound", {"round": round_.number})
                    continue
                for record in round_.records:
                    for event in show_events(record):
                        if module in (None, event["module"]):
                            place = {"round": round_.header.round, "hash": "0x" + record.hash.hex()}
                            yield _server_sent(event["module"], place | event)
                yield f"id: {round_.header.round}\n\n"
        except FollowerTooSlow:
            yield "event: dropped\ndata: {}\n\n"


def _server_sent(kind: str, data: dict[str, Any]) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


async def _answer_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, QanatError)  # noqa: S101 - registered for this class only
    if isinstance(error, NotFound | TooLongAgo):
        return JSONResponse(describe(error), 404)
    return answer_error(error)


async def _answer_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
    try:
        return await request_validation_exception_handler(request, error)
    except (ValueError, RecursionError):
        # The answer repeats what came, which need not be what JSON can say.
        return answer_error(BadRequest("the request is not valid, and cannot be shown"))
