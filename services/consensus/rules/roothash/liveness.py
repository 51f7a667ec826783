"""
Who took part in the rounds of an epoch, and what silence costs.

Source: oasis-core go/consensus/cometbft/apps/roothash/liveness.go @ f9f1fdc. Differs: judged before
the next election, so that a suspension holds for it; a round that fails counts as missed by the
scheduler whose proposal failed; a committee may change within an epoch, so each worker is measured
by the rounds in which it was one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from services.consensus.rules.beacon.epoch import load_epoch
from services.consensus.rules.parameters import load_parameters
from services.consensus.rules.registry.entities import clear_faults, freeze_node, record_fault
from services.consensus.rules.roothash.penalties import LIVENESS, penalty_of
from services.consensus.rules.roothash.round_state import LivenessStatistics, RuntimeState
from services.consensus.rules.staking.escrow import slash
from services.consensus.rules.staking.ledger import COMMON_POOL, give
from services.consensus.rules.state import State
from shared.crypto.address import staking_address
from shared.rules import state_keys
from shared.types.registry import ExecutorParameters, NodeDescriptor


def with_round(
    statistics: LivenessStatistics,
    *,
    workers: Iterable[bytes],
    good: Iterable[bytes],
    primary: bytes,
    is_primary_proposal: bool,
) -> LivenessStatistics:
    """
    Count a finalized round.

    Parameters
    ----------
    workers : node ids
        Had the duty to vote.
    good : node ids
        Voted for the result.
    primary : `bytes`
        The scheduler of rank 0.
    is_primary_proposal : `bool`
        Whether its proposal was the one.
    """
    counted = replace(
        statistics,
        duty_rounds=_incremented(statistics.duty_rounds, workers),
        live_rounds=_incremented(statistics.live_rounds, good),
    )
    if is_primary_proposal:
        proposals = _incremented(statistics.finalized_proposals, [primary])
        return replace(counted, finalized_proposals=proposals)
    return with_missed_proposal(counted, primary)


def with_missed_proposal(statistics: LivenessStatistics, scheduler: bytes) -> LivenessStatistics:
    """Count a proposal that did not become a block."""
    missed = _incremented(statistics.missed_proposals, [scheduler])
    return replace(statistics, missed_proposals=missed)


def _incremented(counts: Mapping[bytes, int], node_ids: Iterable[bytes]) -> dict[bytes, int]:
    return dict(counts) | {node_id: counts.get(node_id, 0) + 1 for node_id in node_ids}


def is_live(statistics: LivenessStatistics, node_id: bytes, executor: ExecutorParameters) -> bool:
    """Say whether a worker took part in enough rounds, and missed few enough proposals."""
    wanted = statistics.duty_rounds.get(node_id, 0) * executor.min_live_rounds_percent // 100
    if statistics.live_rounds.get(node_id, 0) < wanted:
        return False
    limit = executor.max_missed_proposals_percent
    missed = statistics.missed_proposals.get(node_id, 0)
    proposals = missed + statistics.finalized_proposals.get(node_id, 0)
    return limit == 0 or missed <= proposals * limit // 100


def judge_liveness(state: State, runtime_id: bytes) -> None:
    """
    At the end of an epoch: suspend workers that were not live; the incorrigible are slashed.

    Who was a worker in few rounds is not judged. Backup workers have no duty to be live.
    """
    runtime = state.load(RuntimeState, state_keys.runtime_state_key(runtime_id))
    statistics = state.load(LivenessStatistics, state_keys.liveness_key(runtime_id))
    if runtime is None or statistics is None:
        return
    executor = runtime.descriptor.executor
    for node_id, rounds in sorted(statistics.duty_rounds.items()):
        if rounds < max(executor.min_live_rounds_eval, 1):
            continue
        if is_live(statistics, node_id, executor):
            clear_faults(state, node_id, runtime_id)
            continue
        failures = record_fault(state, node_id, runtime_id)
        if 0 < executor.max_liveness_fails <= failures:
            _punish(state, runtime, node_id)
    state.save(state_keys.liveness_key(runtime_id), LivenessStatistics())


def _punish(state: State, runtime: RuntimeState, node_id: bytes) -> None:
    node = state.load(NodeDescriptor, state_keys.node_key(node_id))
    if node is None:
        return
    penalty = penalty_of(runtime.descriptor, LIVENESS)
    give(state, COMMON_POOL, slash(state, staking_address(node.entity_id), penalty, LIVENESS))
    pause = load_parameters(state).staking.debonding_interval
    freeze_node(state, node_id, load_epoch(state).epoch + pause)
