"""The description of all methods (OpenRPC), made from the handlers. Pure."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Union, get_args, get_origin

from services.gateway.rpc import objects, parameters, storage_ranges
from services.gateway.rpc.methods import Method
from services.gateway.rpc.parameters import REQUIRED, Parameter
from services.gateway.rpc.shapes import Json
from services.gateway.rpc.web3 import software_version

VERSION = "1.3.2"
"""Of OpenRPC. Source: https://spec.open-rpc.org."""

_QUANTITY = {"type": "string", "pattern": "^0x(0|[1-9a-f][0-9a-f]*)$"}
_TAG = {"enum": [tag.value for tag in parameters.Tag]}
_HASH = {"type": "string", "pattern": "^0x[0-9a-fA-F]{64}$"}
_BYTES = {"type": "string", "pattern": "^0x([0-9a-fA-F]{2})*$"}
_OBJECT: dict[str, Any] = {"type": "object"}
_COUNT: dict[str, Any] = {"anyOf": [_QUANTITY, {"type": "integer", "minimum": 0}]}
_BLOCK: dict[str, Any] = {"anyOf": [_QUANTITY, _TAG]}

READERS: dict[Callable[[Any], Any], dict[str, Any]] = {
    parameters.address: {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"},
    parameters.any_block_id: {"anyOf": [*_BLOCK["anyOf"], _HASH, _OBJECT]},
    parameters.block_id: _BLOCK,
    parameters.boolean: {"type": "boolean"},
    parameters.count: _COUNT,
    parameters.data: _BYTES,
    parameters.hash32: _HASH,
    parameters.whole_hash: _HASH,
    parameters.percentiles: {"type": "array", "items": {"type": "number"}},
    parameters.quantity: _QUANTITY,
    parameters.quantity64: _QUANTITY,
    parameters.seconds: _COUNT,
    parameters.slot: {"type": "string"},
    parameters.text: {"type": "string"},
    objects.call_request: _OBJECT,
    objects.log_query: _OBJECT,
    storage_ranges.first_key: _BYTES,
    storage_ranges.transaction_place: {"anyOf": [*_COUNT["anyOf"], _HASH]},
}
"""What each reader takes; others take any JSON."""


def describe(table: Mapping[str, Method]) -> Json:
    """Give the OpenRPC document of the methods."""
    return {
        "openrpc": VERSION,
        "info": {
            "title": "Qanat JSON-RPC",
            "version": software_version(),
            "description": "TEE: MOCK. Parameters may come by position or by name.",
        },
        "methods": [_method(table[name]) for name in sorted(table)],
    }


def _method(method: Method) -> Json:
    lines = (inspect.getdoc(method.answer) or "").splitlines()
    named = zip(method.names, method.parameters, strict=True)
    return {
        "name": method.name,
        "summary": lines[0] if lines else "",
        "description": "\n".join(lines[2:]),
        "paramStructure": "either",
        "params": [_parameter(name, one) for name, one in named],
        "result": {"name": "result", "schema": _result(method.answer)},
    }


def _parameter(name: str, parameter: Parameter) -> Json:
    return {
        "name": name,
        "required": parameter.default is REQUIRED,
        "schema": READERS.get(parameter.read, {}),
    }


def _result(answer: Callable[..., Any]) -> Json:
    return _schema_of(typing.get_type_hints(answer).get("return"))


def _schema_of(kind: Any) -> Json:
    if kind is None or kind is type(None):
        return {"type": "null"}
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema_of(one) for one in args]}
    if origin is list:
        return {"type": "array", "items": _schema_of(args[0])}
    if origin is dict:
        return _OBJECT
    return {str: {"type": "string"}, bool: {"type": "boolean"}, int: {"type": "integer"}}.get(
        kind, {}
    )
