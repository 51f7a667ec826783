"""From a method's name to its rule: the list of everything that a transaction can do."""

from typing import assert_never

from services.consensus.rules.beacon.epoch import load_epoch, verify_dev_control
from services.consensus.rules.context import BlockContext, Caller
from services.consensus.rules.epoch_change import advance_epoch
from services.consensus.rules.keymanager.secrets import (
    apply_publish_ephemeral_secret,
    apply_publish_master_secret,
)
from services.consensus.rules.keymanager.status import (
    apply_update_policy,
    refresh_status,
    verify_init_response,
)
from services.consensus.rules.parameters import load_parameters
from services.consensus.rules.registry.entities import apply_register_entity, apply_unfreeze_node
from services.consensus.rules.registry.nodes import apply_register_node
from services.consensus.rules.registry.runtimes import apply_register_runtime, load_runtime
from services.consensus.rules.roothash.agreement import apply_executor_commit
from services.consensus.rules.roothash.evidence import apply_evidence
from services.consensus.rules.roothash.mining import (
    apply_mine,
    apply_move_time,
    apply_set_mining,
    apply_set_next_timestamp,
)
from services.consensus.rules.roothash.rounds import open_runtime
from services.consensus.rules.staking.escrow import (
    apply_add_escrow,
    apply_reclaim_escrow,
    verify_stake,
)
from services.consensus.rules.staking.ledger import (
    apply_allow,
    apply_burn,
    apply_transfer,
    apply_withdraw,
    load_account,
)
from services.consensus.rules.state import State
from shared.encoding.record import decode_record
from shared.types.keymanager import SignedPolicy, SignedPublishedSecret
from shared.types.methods import (
    AddEscrow,
    AdvanceEpoch,
    Allow,
    Burn,
    Evidence,
    ExecutorCommit,
    Method,
    Mine,
    MoveTime,
    ReclaimEscrow,
    SetMining,
    SetNextTimestamp,
    Transfer,
    UnfreezeNode,
    Withdraw,
)
from shared.types.registry import RuntimeDescriptor, RuntimeKind, SignedDescriptor


def apply_method(
    state: State, context: BlockContext, caller: Caller, method: Method, untrusted: bytes
) -> None:
    """
    Run a method.

    Parameters
    ----------
    untrusted : `bytes`
        Body: the method's record, encoded.

    Raises
    ------
    Rejected
        The rule refuses; the caller of this function undoes what was changed until then.
    """
    match method:
        case Method.EXECUTOR_COMMIT:
            commit = decode_record(ExecutorCommit, untrusted)
            apply_executor_commit(state, context, caller, commit)
        case Method.EVIDENCE:
            apply_evidence(state, context, caller, decode_record(Evidence, untrusted))
        case Method.TRANSFER:
            transfer = decode_record(Transfer, untrusted)
            apply_transfer(state, caller.address, transfer.to, transfer.amount)
        case Method.BURN:
            apply_burn(state, caller.address, decode_record(Burn, untrusted).amount)
        case Method.ADD_ESCROW:
            stake = decode_record(AddEscrow, untrusted)
            apply_add_escrow(state, caller.address, stake.account, stake.amount)
        case Method.RECLAIM_ESCROW:
            _reclaim_escrow(state, caller, decode_record(ReclaimEscrow, untrusted))
        case Method.ALLOW:
            allow = decode_record(Allow, untrusted)
            apply_allow(state, caller.address, allow.beneficiary, allow.amount_change)
        case Method.WITHDRAW:
            withdraw = decode_record(Withdraw, untrusted)
            apply_withdraw(state, caller.address, withdraw.owner, withdraw.amount)
        case Method.REGISTER_ENTITY:
            entity = decode_record(SignedDescriptor, untrusted)
            apply_register_entity(state, context, caller, entity)
        case Method.REGISTER_NODE:
            _register_node(state, context, caller, decode_record(SignedDescriptor, untrusted))
        case Method.UNFREEZE_NODE:
            apply_unfreeze_node(state, caller, decode_record(UnfreezeNode, untrusted).node_id)
        case Method.REGISTER_RUNTIME:
            _register_runtime(state, context, caller, decode_record(RuntimeDescriptor, untrusted))
        case Method.UPDATE_POLICY:
            policy = decode_record(SignedPolicy, untrusted)
            apply_update_policy(state, context, caller, policy)
        case Method.PUBLISH_MASTER_SECRET:
            secret = decode_record(SignedPublishedSecret, untrusted)
            apply_publish_master_secret(state, context, caller, secret)
        case Method.PUBLISH_EPHEMERAL_SECRET:
            secret = decode_record(SignedPublishedSecret, untrusted)
            apply_publish_ephemeral_secret(state, context, caller, secret)
        case Method.ADVANCE_EPOCH:
            decode_record(AdvanceEpoch, untrusted)
            verify_dev_control(state, caller)
            advance_epoch(state, context)
        case Method.MOVE_TIME:
            verify_dev_control(state, caller)
            apply_move_time(state, decode_record(MoveTime, untrusted))
        case Method.MINE:
            verify_dev_control(state, caller)
            apply_mine(state, context, decode_record(Mine, untrusted))
        case Method.SET_MINING:
            verify_dev_control(state, caller)
            apply_set_mining(state, decode_record(SetMining, untrusted))
        case Method.SET_NEXT_TIMESTAMP:
            verify_dev_control(state, caller)
            apply_set_next_timestamp(state, context, decode_record(SetNextTimestamp, untrusted))
        case _:
            assert_never(method)


def _reclaim_escrow(state: State, caller: Caller, reclaim: ReclaimEscrow) -> None:
    staking = load_parameters(state).staking
    end_epoch = load_epoch(state).epoch + staking.debonding_interval
    apply_reclaim_escrow(
        state, caller.address, reclaim.account, reclaim.shares, end_epoch=end_epoch
    )
    # What stays must still cover the account's registrations.
    verify_stake(load_account(state, reclaim.account), staking.thresholds)


def _register_node(
    state: State, context: BlockContext, caller: Caller, signed: SignedDescriptor
) -> None:
    node = apply_register_node(state, context, caller, signed)
    for served in node.runtimes:
        if load_runtime(state, served.id).kind is RuntimeKind.KEY_MANAGER:
            verify_init_response(context, node, served.id)
            refresh_status(state, context, served.id)


def _register_runtime(
    state: State, context: BlockContext, caller: Caller, runtime: RuntimeDescriptor
) -> None:
    is_new = apply_register_runtime(state, caller, runtime)
    if is_new and runtime.kind is RuntimeKind.COMPUTE:
        open_runtime(state, context, runtime)
