"""
What misbehaving costs in a runtime, and who is paid from it.

Source: oasis-core go/consensus/cometbft/apps/roothash/slashing.go @ f9f1fdc. Differs: equal shares
are rounded down, and what that leaves goes to the common pool.
"""

from collections.abc import Iterable

from services.consensus.rules.staking.escrow import reward_stake, slash
from services.consensus.rules.staking.ledger import COMMON_POOL, give
from services.consensus.rules.state import State
from shared.crypto.address import runtime_address, staking_address
from shared.rules import state_keys
from shared.types.registry import NodeDescriptor, RuntimeDescriptor

INCORRECT_RESULTS = "runtime-incorrect-results"
EQUIVOCATION = "runtime-equivocation"
LIVENESS = "runtime-liveness"
CONSENSUS_EQUIVOCATION = "consensus-equivocation"
LIGHT_CLIENT_ATTACK = "consensus-light-client-attack"
"""Reasons, as upstream prints them. Source: oasis-core go/staking/api/slashing.go @ f9f1fdc."""


def entities_of(state: State, node_ids: Iterable[bytes]) -> tuple[bytes, ...]:
    """Addresses of the entities that own nodes: each once, in order."""
    addresses = set()
    for node_id in node_ids:
        node = state.load(NodeDescriptor, state_keys.node_key(node_id))
        if node is not None:
            addresses.add(staking_address(node.entity_id))
    return tuple(sorted(addresses))


def penalty_of(runtime: RuntimeDescriptor, reason: str) -> int:
    """What a runtime's descriptor takes for a reason [base units]."""
    return (runtime.slashing or {}).get(reason, 0)


def punish_incorrect_results(
    state: State, runtime: RuntimeDescriptor, good: Iterable[bytes], bad: Iterable[bytes]
) -> None:
    """
    Slash the entities of nodes that voted for a wrong result, each once, and pay the others.

    An entity with nodes on both sides is punished and not paid.
    """
    penalty = penalty_of(runtime, INCORRECT_RESULTS)
    guilty = entities_of(state, bad)
    taken = sum(slash(state, address, penalty, INCORRECT_RESULTS) for address in guilty)
    rewarded = [address for address in entities_of(state, good) if address not in guilty]
    distribute(state, runtime, taken, runtime.reward_bad_results_percent, rewarded)


def punish_equivocation(
    state: State, runtime: RuntimeDescriptor, node: NodeDescriptor, reporter: bytes | None
) -> None:
    """
    Slash the entity of a node that said two things at once.

    Parameters
    ----------
    reporter : `bytes` or None
        Address of the entity whose node brought the evidence; its own guilt earns it nothing.
    """
    guilty = staking_address(node.entity_id)
    taken = slash(state, guilty, penalty_of(runtime, EQUIVOCATION), EQUIVOCATION)
    rewarded = [] if reporter is None or reporter == guilty else [reporter]
    distribute(state, runtime, taken, runtime.reward_equivocation_percent, rewarded)


def distribute(
    state: State, runtime: RuntimeDescriptor, taken: int, percent: int, rewarded: list[bytes]
) -> None:
    """Hand slashed stake on: a part to the runtime's account, the rest in equal shares."""
    to_runtime = taken * percent // 100
    give(state, runtime_address(runtime.id), to_runtime)
    rest = taken - to_runtime
    share = rest // len(rewarded) if rewarded else 0
    for address in rewarded:
        reward_stake(state, address, share)
    give(state, COMMON_POOL, rest - share * len(rewarded))
