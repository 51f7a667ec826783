"""
What upstream's clients ask of the SDK's modules, CBOR to CBOR.

The native core answers what stands in the state; here is what needs the round's surroundings or
consensus. Source: oasis-sdk `runtime-sdk/src/modules/{core,consensus_accounts}/mod.rs`,
`runtime-sdk/modules/evm/src/types.rs` @ 00da39c.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import evm_native

from runtimes.evm.calls import call
from runtimes.evm.core_errors import errors_of_the_core
from shared.enclave.consensus_view import ConsensusView
from shared.enclave.round_context import RoundContext
from shared.encoding import cbor
from shared.encoding.cbor import MalformedCbor
from shared.encoding.notes import Size
from shared.encoding.quantity import encode_quantity
from shared.encoding.record import MalformedRecord
from shared.encoding.values import from_wire
from shared.errors import RuntimeRejected
from shared.types.evm import EvmCall
from shared.types.staking import Account, SharePool

INVALID_ARGUMENT = ("core", 10, "invalid argument")
NO_CONSENSUS = ("consensus_accounts", 1, "invalid argument")
NO_KEYS = ("core", 10, "invalid argument: key manager not available")
THRESHOLDS = (
    *("entity", "node-validator", "node-compute", "node-observer", "node-keymanager"),
    *("runtime-compute", "runtime-keymanager", "keymanager-churp"),
)
"""Kinds in the order of their numbers. Source: oasis-core go/staking/api @ f9f1fdc."""


@dataclass(frozen=True, slots=True)
class AddressQuery:
    """Names an account."""

    address: Annotated[bytes, Size(21)]


@dataclass(frozen=True, slots=True)
class SimulateCall:
    """A call that leaves no trace."""

    gas_price: bytes
    gas_limit: int
    caller: Annotated[bytes, Size(20)]
    value: bytes
    data: bytes
    address: Annotated[bytes, Size(20)] | None = None
    """None for a create."""


@dataclass(frozen=True, slots=True)
class SdkGround:
    """What questions are about."""

    engine: evm_native.Engine
    environment: Callable[[], evm_native.BlockEnv]
    """Surroundings of the next round, with its keys: only some questions wait for these."""
    context: RoundContext
    is_confidential: bool


def answer_sdk(ground: SdkGround, method: str, args: bytes) -> bytes:
    """
    Answer a question of a module.

    Raises
    ------
    RuntimeRejected
        What the module refuses with; `core` 3 where there is no such question.
    ConsensusUnproven, PeerUnavailable
        The host does not prove what consensus holds: ask again.
    """
    version = ground.context.parent.round
    match method:
        case "consensus.Account":
            shown: Any = _account(ground.context.consensus, _read(AddressQuery, args).address)
            return cbor.encode(shown)
        case "core.CallDataPublicKey":
            if not ground.is_confidential:
                raise RuntimeRejected(*NO_KEYS)
            return ground.context.keys().call_data_public_key
        case "core.EstimateGas":
            with errors_of_the_core:
                gas = ground.engine.estimate_sdk_gas(ground.environment(), args, version=version)
            return cbor.encode(gas)
        case "evm.SimulateCall":
            asked = _read(SimulateCall, args)
            wanted = EvmCall(
                caller=asked.caller,
                to=asked.address,
                gas=asked.gas_limit,
                gas_price=int.from_bytes(asked.gas_price, "big"),
                value=int.from_bytes(asked.value, "big"),
                data=asked.data,
            )
            return cbor.encode(call(ground.engine, ground.environment(), wanted, version))
        case _:
            with errors_of_the_core:
                root = ground.context.parent.state_root
                return ground.engine.ask(method, args, version, root=root)


def _account(view: ConsensusView | None, address: bytes) -> dict[str, Any]:
    """
    Give an account of consensus in upstream's form, fields that are zero left out.

    Source: oasis-core runtime/src/consensus/staking.rs @ f9f1fdc.
    """
    if view is None:
        raise RuntimeRejected(*NO_CONSENSUS)
    found = view.account(address)
    general = {
        "balance": encode_quantity(found.balance),
        "nonce": found.nonce,
        "allowances": {who: encode_quantity(amount) for who, amount in found.allowances.items()},
    }
    escrow = {
        "active": _pool(found.active),
        "debonding": _pool(found.debonding),
        "stake_accumulator": _filled({"claims": _claims(found)}),
    }
    return _filled({"general": _filled(general), "escrow": _filled(escrow)})


def _claims(account: Account) -> dict[str, list[dict[str, int]]]:
    return {
        name: [{"global": THRESHOLDS.index(kind)} for kind in kinds if kind in THRESHOLDS]
        for name, kinds in account.claims.items()
    }


def _pool(pool: SharePool) -> dict[str, Any]:
    shown = {
        "balance": encode_quantity(pool.balance),
        "total_shares": encode_quantity(pool.total_shares),
    }
    return _filled(shown)


def _filled(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value}


def _read(kind: Any, args: bytes) -> Any:
    try:
        return from_wire(kind, cbor.decode(args))
    except (MalformedCbor, MalformedRecord) as error:
        raise RuntimeRejected(*INVALID_ARGUMENT[:2], f"invalid argument: {error.message}") from None
