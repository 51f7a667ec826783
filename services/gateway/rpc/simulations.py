"""
Simulations as clients ask for them, as an enclave takes them, and as clients see them. Pure.

The gateway asks so on a public ParaTime, and `qanat view` for the owner of a confidential one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from services.gateway.rpc.errors import InvalidParameters, QueryRejected, SimulationRefused
from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.objects import CallRequest
from services.gateway.rpc.parameters import BadParameter, quantity64
from services.gateway.rpc.shapes import Json
from services.gateway.rpc.simulated import SimulatedBlock, describe_failure, show_call
from services.gateway.transactions import Wanted, read_any_wanted
from shared.errors import RuntimeRejected

MAX_BLOCKS = 256
"""Blocks of one simulation, gaps included. Source: go-ethereum `internal/ethapi/simulate.go`."""
BLOCK_TIME_S = 12
"""Between two simulated blocks where nothing is said [s]. Same source."""
NUMBER_CODE, TIME_CODE, TOO_MANY_CODE = -38020, -38021, -38026
"""Source: execution-apis, `eth_simulateV1`."""
TOO_MUCH = ("trace", 3)
"""Module and code with which the enclave refuses what takes too long or answers too much."""
CALL_ONLY = ("stateOverrides", "blockOverrides", "txIndex")
"""Options of `debug_traceCall` that are none of its tracer."""


@dataclass(frozen=True, slots=True)
class Base:
    """The block on whose state a simulation begins."""

    number: int
    time: int
    """[s]"""
    hash: bytes


@dataclass(frozen=True, slots=True)
class WantedBlock:
    """A block of a simulation, as the client wants it."""

    number: int | None
    time: int | None
    overrides: Json
    state: Json
    calls: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True)
class WantedSimulation:
    """What `eth_simulateV1` takes."""

    blocks: tuple[WantedBlock, ...]
    validates: bool
    """Whether calls must be such as could be in a block: nonces, prices."""
    shows_transfers: bool
    shows_transactions: bool


def state_overrides(value: Any) -> Json:
    """What of the state is changed before a call."""
    if type(value) is not dict:
        raise BadParameter("must be an object of accounts")
    return value


def wanted_simulation(value: Any) -> WantedSimulation:
    """Payload of a simulation."""
    if type(value) is not dict or type(value.get("blockStateCalls")) is not list:
        raise BadParameter("must be an object with a list blockStateCalls")
    blocks = value["blockStateCalls"]
    if not blocks:
        raise BadParameter("empty input: blockStateCalls must have a block")
    if len(blocks) > MAX_BLOCKS:
        raise SimulationRefused("too many blocks", TOO_MANY_CODE)
    return WantedSimulation(
        tuple(map(_wanted_block, blocks)),
        _flag(value, "validation"),
        _flag(value, "traceTransfers"),
        _flag(value, "returnFullTransactions"),
    )


def _flag(fields: Json, name: str) -> bool:
    flag = fields.get(name)
    if flag is not None and type(flag) is not bool:
        raise BadParameter(f"{name}: must be a boolean")
    return bool(flag)


def _wanted_block(value: Any) -> WantedBlock:
    if type(value) is not dict:
        raise BadParameter("each block must be an object")
    overrides, state = value.get("blockOverrides") or {}, value.get("stateOverrides") or {}
    calls = value.get("calls") or []
    if type(overrides) is not dict or type(state) is not dict or type(calls) is not list:
        raise BadParameter("blockOverrides and stateOverrides must be objects, calls a list")
    number, time = overrides.get("number"), overrides.get("time")
    return WantedBlock(
        number=None if number is None else quantity64(number),
        time=None if time is None else quantity64(time),
        overrides=overrides,
        state=state,
        calls=tuple(map(_wanted_call, calls)),
    )


def _wanted_call(value: Any) -> Wanted:
    wanted = read_any_wanted(value)
    if fold_names(value).get("blobversionedhashes"):
        raise BadParameter(
            "blobVersionedHashes: there are no blobs, a ParaTime has no place for any"
        )
    return wanted


def fill_gaps(base: Base, wanted: WantedSimulation) -> list[SimulatedBlock]:
    """Number the blocks and give them their time; between numbers that jump, blocks are empty."""
    blocks: list[SimulatedBlock] = []
    number, time = base.number, base.time
    for one in wanted.blocks:
        next_number = number + 1 if one.number is None else one.number
        if next_number <= number:
            raise SimulationRefused(
                f"block numbers must be in order: {next_number} <= {number}", NUMBER_CODE
            )
        if next_number - base.number > MAX_BLOCKS:
            raise SimulationRefused("too many blocks", TOO_MANY_CODE)
        for empty in range(number + 1, next_number):
            time += BLOCK_TIME_S
            blocks.append(SimulatedBlock(empty, time, {}, {}, ()))
        next_time = time + BLOCK_TIME_S if one.time is None else one.time
        if next_time <= time:
            raise SimulationRefused(
                f"block timestamps must be in order: {next_time} <= {time}", TIME_CODE
            )
        blocks.append(SimulatedBlock(next_number, next_time, one.overrides, one.state, one.calls))
        number, time = next_number, next_time
    return blocks


def simulation_of(base: Base, blocks: list[SimulatedBlock], wanted: WantedSimulation) -> Json:
    """Give blocks in the JSON that the enclave reads."""
    asked, number, hash_ = [], base.number, base.hash
    for one in blocks:
        asked.append(one.request(number, hash_))
        number, hash_ = one.number, one.hash(hash_)
    return {
        "style": {"outcome": wanted.shows_transfers},
        "checks": "all" if wanted.validates else "funds",
        "blocks": asked,
    }


def show_simulation(
    base: Base, blocks: list[SimulatedBlock], ran: list[Json], wanted: WantedSimulation
) -> list[Json]:
    """Blocks with the outcomes of their calls."""
    shown, parent_hash = [], base.hash
    for one, outcome in zip(blocks, ran, strict=True):
        shown.append(one.show(outcome, parent_hash, with_bodies=wanted.shows_transactions))
        parent_hash = one.hash(parent_hash)
    return shown


@contextmanager
def telling_what_is_too_much() -> Iterator[None]:
    """Show what costs the enclave more than it may with the code that Ethereum has for that."""
    try:
        yield
    except RuntimeRejected as error:
        if (error.module, error.code) == TOO_MUCH:
            raise SimulationRefused(error.message, TOO_MANY_CODE) from None
        raise


# -- one call ----------------------------------------------------------------------------------


def access_list_simulation(request: CallRequest, overrides: Json | None) -> Json:
    """Ask which accounts and slots a call touches."""
    wanted = {"state": overrides or {}, "calls": [show_call(request)]}
    return {"style": {"accessList": []}, "blocks": [wanted]}


def show_access_list(outcome: Json) -> Json:
    """Accounts and slots that a call touched beside its sender and target."""
    shown = {"accessList": outcome["trace"], "gasUsed": hex(outcome["gasUsed"])}
    failure = describe_failure(outcome)
    return shown if failure is None else shown | {"error": failure["message"]}


def trace_options(value: Any) -> dict[str, Any]:
    """Tracer, its configuration, and what of the steps is shown."""
    if type(value) is not dict:
        raise BadParameter("must be an object of tracer, tracerConfig, timeout and the like")
    return value


def traced_call(request: CallRequest, options: dict[str, Any]) -> Json:
    """Ask for the trace of a call, with overrides of state and block."""
    if options.get("txIndex") is not None:
        raise QueryRejected("txIndex is not supported: a call runs on the state after a block")
    of_tracer = {name: one for name, one in options.items() if name not in CALL_ONLY}
    return {
        "style": {"geth": of_tracer},
        "blocks": [
            {
                "state": _given(options, "stateOverrides"),
                "block": _given(options, "blockOverrides"),
                "calls": [show_call(request)],
            }
        ],
    }


def _given(options: dict[str, Any], name: str) -> Any:
    found = options.get(name)
    if found is not None and type(found) is not dict:
        raise InvalidParameters(f"invalid argument 2: {name} must be an object")
    return found or {}
