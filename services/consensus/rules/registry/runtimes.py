"""
Registration of runtimes and their deployments.

Source: oasis-core go/registry/api/runtime.go @ f9f1fdc. Differs: every runtime asks for enclaves,
and a runtime is its entity's for ever (governance model 1).
"""

from services.consensus.rules.beacon.epoch import KEPT_EPOCH_STARTS, load_epoch
from services.consensus.rules.context import Caller
from services.consensus.rules.parameters import load_parameters
from services.consensus.rules.registry.entities import NotOwner, load_entity
from services.consensus.rules.staking.escrow import claim_stake
from services.consensus.rules.state import State
from shared.crypto.address import staking_address
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.identity import is_key_manager_id
from shared.types.registry import RuntimeDescriptor, RuntimeKind

RUNTIME_STAKES = {
    RuntimeKind.COMPUTE: "runtime-compute",
    RuntimeKind.KEY_MANAGER: "runtime-keymanager",
}
"""Kind of stake threshold by kind of runtime."""
PERCENT = 100
MAX_PATIENCE_MS = 3_600_000
"""An hour: far beyond any round, and far below where times stop fitting 64 bits."""


class UnknownRuntime(Rejected, module="registry", code=40):
    """There is no such runtime."""


class MalformedRuntime(Rejected, module="registry", code=41):
    """The descriptor contradicts itself."""


class ForbiddenRuntimeUpdate(Rejected, module="registry", code=42):
    """What a runtime is, and what it runs already, does not change."""


def load_runtime(state: State, runtime_id: bytes) -> RuntimeDescriptor:
    """Give a runtime, or raise `UnknownRuntime`."""
    runtime = state.load(RuntimeDescriptor, state_keys.runtime_key(runtime_id))
    if runtime is None:
        raise UnknownRuntime(f"runtime {runtime_id.hex()} is not registered")
    return runtime


def list_runtimes(state: State, kind: RuntimeKind) -> list[RuntimeDescriptor]:
    """Runtimes of a kind, in the order of their ids."""
    everything = state.scan(RuntimeDescriptor, state_keys.RUNTIMES)
    return [runtime for _, runtime in everything if runtime.kind is kind]


def apply_register_runtime(state: State, caller: Caller, runtime: RuntimeDescriptor) -> bool:
    """
    Register a runtime, or give one of the caller's new deployments and parameters.

    Returns
    -------
    is_new : `bool`

    Raises
    ------
    NotOwner, UnknownEntity, MalformedRuntime, ForbiddenRuntimeUpdate, InsufficientStake
        See each class.
    """
    known = state.load(RuntimeDescriptor, state_keys.runtime_key(runtime.id))
    owner = runtime.entity_id if known is None else known.entity_id
    if caller.public_key != owner or runtime.entity_id != owner:
        raise NotOwner("a runtime is registered and changed by its entity")
    load_entity(state, owner)
    if known is not None:
        _verify_update(known, runtime, load_epoch(state).epoch)
    add_runtime(state, runtime)
    return known is None


def add_runtime(state: State, runtime: RuntimeDescriptor) -> None:
    """Save a runtime and claim its owner's stake; genesis does so without a signature."""
    _verify_form(runtime, load_epoch(state).epoch)
    if runtime.key_manager is not None:
        manager = load_runtime(state, runtime.key_manager)
        if manager.kind is not RuntimeKind.KEY_MANAGER:
            raise MalformedRuntime(f"{manager.id.hex()} is no key manager")
    thresholds = load_parameters(state).staking.thresholds
    name = f"registry.RegisterRuntime.{runtime.id.hex()}"
    kinds = (RUNTIME_STAKES[runtime.kind],)
    claim_stake(state, staking_address(runtime.entity_id), name, kinds, thresholds)
    state.save(state_keys.runtime_key(runtime.id), runtime)


def _verify_form(runtime: RuntimeDescriptor, epoch: int) -> None:
    executor, scheduler = runtime.executor, runtime.scheduler
    is_manager = runtime.kind is RuntimeKind.KEY_MANAGER
    percents = (
        runtime.reward_bad_results_percent,
        runtime.reward_equivocation_percent,
        executor.min_live_rounds_percent,
        executor.max_missed_proposals_percent,
    )
    versions = {deployment.version for deployment in runtime.deployments}
    begins = {deployment.valid_from for deployment in runtime.deployments}
    faults = {
        "the id's key manager flag and the kind differ": is_key_manager_id(runtime.id)
        != is_manager,
        "a key manager has no key manager": is_manager and runtime.key_manager is not None,
        "a key manager, and nothing else, names its policy's signers": is_manager
        != bool(runtime.policy_signers),
        "policy signers differ, and enough of them can sign": not _can_sign(runtime),
        "a runtime has a deployment": not runtime.deployments,
        "versions and epochs of deployments are unique": len(versions) != len(runtime.deployments)
        or len(begins) != len(runtime.deployments),
        "at most one deployment lies in the future": sum(b > epoch for b in begins) > 1,
        "a deployment lists its enclaves": any(not d.tee.enclaves for d in runtime.deployments),
        f"attestations live 1 to {KEPT_EPOCH_STARTS} epochs": any(
            not 1 <= d.tee.max_attestation_age <= KEPT_EPOCH_STARTS for d in runtime.deployments
        ),
        "a committee has workers and backup workers": executor.group_size < 1
        or executor.group_backup_size < 1,
        # With as many stragglers as workers the scheduler alone would decide.
        "most workers are no stragglers": not 0
        <= executor.allowed_stragglers
        < max(executor.group_size, 1),
        f"times lie between 0 and {MAX_PATIENCE_MS} ms": not all(
            0 <= period <= MAX_PATIENCE_MS
            for period in (
                executor.round_timeout_ms,
                scheduler.batch_flush_timeout_ms,
                scheduler.propose_batch_timeout_ms,
            )
        ),
        "percentages lie between 0 and 100": not all(0 <= p <= PERCENT for p in percents),
        "penalties are not negative": any(v < 0 for v in (runtime.slashing or {}).values()),
        "a batch has room for a transaction": min(
            scheduler.max_batch_size, scheduler.max_batch_size_bytes
        )
        < 1,
    }
    for rule, is_broken in faults.items():
        if is_broken:
            raise MalformedRuntime(rule)


def _can_sign(runtime: RuntimeDescriptor) -> bool:
    signers, threshold = runtime.policy_signers, runtime.policy_threshold
    return len(set(signers)) == len(signers) and min(1, len(signers)) <= threshold <= len(signers)


def _verify_update(known: RuntimeDescriptor, runtime: RuntimeDescriptor, epoch: int) -> None:
    if (known.kind, known.genesis, known.key_manager) != (
        runtime.kind,
        runtime.genesis,
        runtime.key_manager,
    ):
        raise ForbiddenRuntimeUpdate("kind, genesis and key manager of a runtime stay")
    active = known.active_deployment(epoch)
    if active is not None and active not in runtime.deployments:
        raise ForbiddenRuntimeUpdate("the deployment that is active stays as it is")
    for deployment in runtime.deployments:
        if deployment not in known.deployments and deployment.valid_from <= epoch:
            raise ForbiddenRuntimeUpdate("a new deployment begins in a later epoch")
