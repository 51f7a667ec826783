"""
The daemon of Oasis ROFL: `/rofl/v1/*`.

Source: oasis-sdk `rofl-appd/src/routes` @ 00da39c. Paths have no slash at their end: clients follow
no redirects.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Body
from fastapi.responses import PlainTextResponse, Response
from pydantic import BaseModel, Field

from services.worker.appd.instance import AppInstance
from services.worker.appd.rofl_keys import KeyKind, derive_key
from services.worker.appd.transactions import (
    MAX_INPUT_CHARACTERS,
    TransactionIn,
    read_hex,
    read_transaction,
)
from shared.errors import QanatError
from shared.rules.app_ids import encode_app_id

MAX_KEY_ID_CHARACTERS = 4096


class KeyIn(BaseModel):
    """Which key."""

    key_id: str = Field(max_length=MAX_KEY_ID_CHARACTERS)
    kind: KeyKind


class SubmitIn(BaseModel):
    """A transaction to sign and send."""

    tx: TransactionIn
    encrypt: bool = True


class QueryIn(BaseModel):
    """A question to the ParaTime."""

    method: str = Field(max_length=128)
    args: str = Field(max_length=MAX_INPUT_CHARACTERS, description="hex of CBOR")


def rofl_routes(instance: AppInstance) -> APIRouter:
    """Give the routes for one instance."""
    routes = APIRouter(prefix="/rofl/v1", tags=["rofl"])

    @routes.get("/app/id", response_class=PlainTextResponse)
    async def app_id() -> str:
        """Give the app's id."""
        return encode_app_id(instance.app_id)

    @routes.post("/keys/generate")
    async def generate(body: KeyIn) -> dict[str, str]:
        """Derive a key; each replica of the app gets the same."""
        return {"key": derive_key(instance.root_key, body.kind, body.key_id).hex()}

    @routes.post("/tx/sign-submit")
    async def sign_submit(body: SubmitIn) -> dict[str, str]:
        """Sign a transaction as this instance, send it, and wait for its result."""
        transaction = read_transaction(body.tx)
        result = await instance.surroundings.submit(transaction, encrypt=body.encrypt)
        return {"data": result.hex()}

    @routes.get("/metadata")
    async def metadata() -> dict[str, str]:
        """Give what the app set."""
        return instance.metadata.pairs

    @routes.post("/metadata")
    async def set_metadata(body: Annotated[dict[str, str], Body()]) -> Response:
        """Replace all metadata."""
        instance.metadata.replace(body)
        return Response()

    @routes.put("/metadata")
    async def insert_metadata(body: Annotated[dict[str, str], Body()]) -> Response:
        """Add metadata."""
        instance.metadata.insert(body)
        return Response()

    @routes.delete("/metadata")
    async def remove_metadata(body: Annotated[list[str], Body()]) -> Response:
        """Remove metadata by key."""
        instance.metadata.remove(body)
        return Response()

    @routes.post("/query")
    async def query(body: QueryIn) -> Any:
        """Ask the ParaTime."""
        args = read_hex("args", body.args)
        try:
            answer = await instance.surroundings.query(body.method, args)
        except QanatError as error:
            return PlainTextResponse(f"Query failed: {error.message}", 500)
        return {"data": answer.hex()}

    return routes
