"""
Traces in the forms of Parity and Otterscan: what clients ask for, and what they see. Pure.

The gateway answers so on a public ParaTime, and `qanat view` for the owner of a confidential one.
"""

from dataclasses import dataclass
from typing import Any

from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.objects import CallRequest, call_request
from services.gateway.rpc.parameters import (
    BadParameter,
    BlockId,
    Tag,
    address,
    block_id,
    count,
    quantity64,
)
from services.gateway.rpc.shapes import Json, show_bytes
from services.gateway.rpc.simulated import show_call

TRACE_TYPES = frozenset({"trace", "vmTrace", "stateDiff"})
MAX_CALLS = 1000
MAX_PATH = 1024
"""Depth of the EVM's calls."""
MAX_FILTER_ROUNDS = 100
"""As of log queries [rounds]."""
MAX_FILTER_BYTES = 24 * 1024 * 1024
"""Frames of one answer [bytes]; as of one trace."""
TypedCalls = tuple[tuple[CallRequest, tuple[str, ...]], ...]
"""Calls, and what of each is traced."""


def trace_types(value: Any) -> tuple[str, ...]:
    """List of what is traced."""
    if type(value) is not list or not all(type(one) is str and one in TRACE_TYPES for one in value):
        raise BadParameter("must be a list of trace, vmTrace and stateDiff")
    return tuple(dict.fromkeys(value))


def typed_calls(value: Any) -> TypedCalls:
    """List of pairs: a call, and what of it is traced."""
    if type(value) is not list or len(value) > MAX_CALLS:
        raise BadParameter(f"must be a list of at most {MAX_CALLS} calls with their trace types")
    if not all(type(pair) is list and len(pair) == 2 for pair in value):
        raise BadParameter("each item must be a call and a list of trace types")
    return tuple((call_request(call), trace_types(types)) for call, types in value)


def path(value: Any) -> tuple[int, ...]:
    """Address of a frame in the tree: the position of each call on the way."""
    if type(value) is not list or len(value) > MAX_PATH:
        raise BadParameter("must be a list of positions")
    return tuple(one if type(one) is int and one >= 0 else quantity64(one) for one in value)


@dataclass(frozen=True, slots=True)
class TraceFilter:
    """What `trace_filter` takes."""

    first: BlockId
    last: BlockId
    senders: frozenset[str]
    targets: frozenset[str]
    after: int
    count: int | None


def trace_filter(value: Any) -> TraceFilter:
    """Filter object."""
    if type(value) is not dict:
        raise BadParameter("must be a filter object")
    fields = fold_names(value)

    def read(name: str, reader: Any, default: Any) -> Any:
        found = fields.get(name.lower())
        return default if found is None else reader(found)

    return TraceFilter(
        first=read("fromBlock", block_id, Tag.LATEST),
        last=read("toBlock", block_id, Tag.LATEST),
        senders=read("fromAddress", _addresses, frozenset()),
        targets=read("toAddress", _addresses, frozenset()),
        after=read("after", count, 0),
        count=read("count", count, None),
    )


def _addresses(value: Any) -> frozenset[str]:
    items = value if type(value) is list else [value]
    if len(items) > MAX_CALLS:
        raise BadParameter(f"more than {MAX_CALLS} addresses")
    return frozenset(show_bytes(address(one)) for one in items)


def is_wanted(frame: dict[str, Any], wanted: TraceFilter) -> bool:
    """Say whether a frame is of a caller and a called that a filter takes."""
    action = frame["action"]
    sender = action.get("from") or action.get("address")
    target = action.get("to") or action.get("refundAddress")
    if target is None:
        target = (frame.get("result") or {}).get("address")
    return (not wanted.senders or sender in wanted.senders) and (
        not wanted.targets or target in wanted.targets
    )


def traced_calls(calls: TypedCalls) -> Json:
    """Ask for traces of calls that build on each other, in the JSON that the enclave reads."""
    shown = [show_call(request) | {"style": {"parity": types}} for request, types in calls]
    return {"style": {"outcome": False}, "blocks": [{"calls": shown}]}


# -- Otterscan's -------------------------------------------------------------------------------


def entries_of(tree: Json) -> list[Json]:
    """Give the calls of a tree of calls in order, each with its depth."""
    entries: list[Json] = []
    waiting = [(tree, 0)]
    while waiting:
        frame, depth = waiting.pop()
        entries.append(
            {
                "type": frame["type"],
                "depth": depth,
                "from": frame["from"],
                "to": frame.get("to"),
                "value": frame.get("value"),
                "input": frame.get("input", "0x"),
                "output": frame.get("output", "0x"),
            }
        )
        waiting += [(inner, depth + 1) for inner in reversed(frame.get("calls", []))]
    return entries


def creator_in(frames: list[Json], contract: str) -> str | None:
    """Give who made a contract inside a transaction; None where nobody did."""
    for frame in frames:
        made = (frame.get("result") or {}).get("address")
        if frame["type"] == "create" and made == contract:
            creator: str = frame["action"]["from"]
            return creator
    return None
