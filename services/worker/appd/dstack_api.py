"""
The guest agent of dstack: `GetKey`, `GetQuote`, `Info`, `Sign`, `Verify`, `EmitEvent`, `Version`.

Bytes are hex without prefix. Source: dstack `guest-agent/rpc/proto/agent_rpc.proto` and
`guest-agent/src/rpc_service.rs`; each method is served below `/prpc` as well. `GetTlsKey`, `Attest`
and `GpuInfo` are not served.
"""

import base64
import dataclasses
import json
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from services.worker.appd.dstack_keys import AppKey, verify
from services.worker.appd.errors import InvalidArgument
from services.worker.appd.events import REGISTER_BYTES, RuntimeEvent
from services.worker.appd.instance import AppInstance
from services.worker.appd.transactions import MAX_INPUT_CHARACTERS, read_hex
from shared.crypto.hashes import sha256

VERSION = "0.5.7"
"""Of the agent whose methods these are; clients ask it before they use Ed25519."""
REPORT_BYTES = 64
MAX_NAME_CHARACTERS = 4096


class KeyIn(BaseModel):
    """Which key."""

    path: str = Field("", max_length=MAX_NAME_CHARACTERS)
    purpose: str = Field("", max_length=MAX_NAME_CHARACTERS)
    algorithm: str = Field("secp256k1", max_length=32)


class QuoteIn(BaseModel):
    """What the quote is to say."""

    report_data: str = Field(max_length=2 * REPORT_BYTES)


class SignIn(BaseModel):
    """What is to be signed."""

    algorithm: str = Field(max_length=32)
    data: str = Field(max_length=MAX_INPUT_CHARACTERS)


class VerifyIn(SignIn):
    """A signature to check."""

    signature: str = Field(max_length=256)
    public_key: str = Field(max_length=256)


class EventIn(BaseModel):
    """What is to be measured."""

    event: str = Field(min_length=1, max_length=MAX_NAME_CHARACTERS)
    payload: str = Field("", max_length=MAX_INPUT_CHARACTERS)


def dstack_routes(instance: AppInstance) -> APIRouter:
    """Give the routes for one instance."""
    routes = APIRouter(tags=["dstack"])
    # A name of dstack has 20 bytes; ours has a version byte before them.
    key = AppKey(instance.root_key, instance.app_id[1:])

    @routes.post("/GetKey")
    async def get_key(body: KeyIn) -> dict[str, Any]:
        """Derive a key; each replica of the app gets the same."""
        derived = key.derive(body.path, body.purpose, body.algorithm)
        return {
            "key": derived.secret.hex(),
            "signature_chain": [one.hex() for one in derived.chain],
        }

    @routes.post("/GetQuote")
    async def get_quote(body: QuoteIn) -> dict[str, str]:
        """Quote this instance with data of the caller. The root is a MOCK."""
        report_data = read_hex("report_data", body.report_data).ljust(REPORT_BYTES, b"\0")
        return {
            "quote": instance.surroundings.quote(report_data, _registers(instance)).hex(),
            "event_log": json.dumps(_show_events(instance)),
            "report_data": report_data.hex(),
            "vm_config": "",
        }

    @routes.post("/Info")
    @routes.get("/Info")
    async def info() -> dict[str, str]:
        """Say which app this is, and how it is measured."""
        compose_hash = sha256(instance.compose.encode()).hex()
        aggregated = sha256(b"".join((instance.measurement, *_registers(instance)))).hex()
        tcb = {f"rtmr{at}": one.hex() for at, one in enumerate(_registers(instance))} | {
            "mrtd": instance.measurement.hex(),
            "mr_aggregated": aggregated,
            "os_image_hash": "",
            "compose_hash": compose_hash,
            "device_id": instance.device_id.hex(),
            "event_log": _show_events(instance),
            "app_compose": instance.compose,
        }
        return {
            "app_id": instance.app_id[1:].hex(),
            "instance_id": instance.instance_id.hex(),
            "app_cert": "",
            "tcb_info": json.dumps(tcb),
            "app_name": instance.name,
            "device_id": instance.device_id.hex(),
            "mr_aggregated": aggregated,
            "os_image_hash": "",
            "key_provider_info": json.dumps({"name": "qanat-mock"}),
            "compose_hash": compose_hash,
            "vm_config": "",
            "cloud_vendor": "",
            "cloud_product": "",
        }

    @routes.post("/GetCollateral")
    async def get_collateral() -> dict[str, Any]:
        """Give what a verifier needs beside a quote, in the form of DCAP; not of upstream."""
        platform = instance.surroundings.platform()
        return {
            "root_ca": base64.b64encode(platform.root_ca).decode(),
            "collateral": {
                field.name: _text_of(getattr(platform.collateral, field.name))
                for field in dataclasses.fields(platform.collateral)
            },
        }

    @routes.post("/Sign")
    async def sign(body: SignIn) -> dict[str, Any]:
        """Sign by the app's signing key."""
        signed = key.sign(body.algorithm, read_hex("data", body.data))
        return {
            "signature": signed.signature.hex(),
            "signature_chain": [one.hex() for one in signed.chain],
            "public_key": signed.public.hex(),
        }

    @routes.post("/Verify")
    async def verify_signature(body: VerifyIn) -> dict[str, bool]:
        """Say whether a signature holds."""
        data, signature = read_hex("data", body.data), read_hex("signature", body.signature)
        public_key = read_hex("public_key", body.public_key)
        return {"valid": verify(body.algorithm, data, signature, public_key)}

    @routes.post("/EmitEvent")
    async def emit_event(body: EventIn) -> dict[str, str]:
        """Extend the fourth register; all later quotes show it."""
        if not body.event.isprintable():
            raise InvalidArgument("the event's name is not printable")
        instance.events.extend(RuntimeEvent(body.event, read_hex("payload", body.payload)))
        return {}

    @routes.post("/Version")
    @routes.get("/Version")
    async def version() -> dict[str, str]:
        """Say whose methods these are."""
        return {"version": VERSION, "rev": "qanat"}

    return routes


def _text_of(value: str | bytes) -> str:
    return value if isinstance(value, str) else base64.b64encode(value).decode()


def _registers(instance: AppInstance) -> tuple[bytes, bytes, bytes, bytes]:
    zero = bytes(REGISTER_BYTES)
    return zero, zero, zero, instance.events.register


def _show_events(instance: AppInstance) -> list[dict[str, str | int]]:
    return [event.show() for event in instance.events.events]
