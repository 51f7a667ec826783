"""
The first state, from the genesis document.

A document that contradicts itself is refused with the class of the rule that it breaks.
"""

from services.consensus.rules.beacon.epoch import begin_first_epoch
from services.consensus.rules.context import BlockContext
from services.consensus.rules.keymanager.status import load_key_manager, set_policy
from services.consensus.rules.parameters import Parameters
from services.consensus.rules.registry.entities import add_entity
from services.consensus.rules.registry.runtimes import add_runtime
from services.consensus.rules.roothash.rounds import open_runtime
from services.consensus.rules.staking.escrow import apply_add_escrow
from services.consensus.rules.staking.ledger import (
    MAX_QUANTITY,
    RESERVED_ADDRESSES,
    give,
    load_account,
)
from services.consensus.rules.state import State
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.types.genesis import Genesis
from shared.types.keymanager import KeyManagerStatus, Policy
from shared.types.registry import RuntimeKind
from shared.types.staking import Account, Supply

MAX_COUNT = 2**32
"""More epochs, rounds or gas than any network sees; sums with it fit 64 bits."""


class InvalidGenesis(Rejected, module="genesis", code=1):
    """The document contradicts itself."""


def apply_genesis(state: State, context: BlockContext, genesis: Genesis) -> None:
    """
    Write the first state.

    Raises
    ------
    InvalidGenesis, InsufficientStake, MalformedRuntime, UnknownRuntime, MalformedEntity
        See each class.
    """
    _verify_parameters(genesis)
    state.save(state_keys.CHAIN_CONTEXT, context.chain_context.encode())
    state.save(
        state_keys.PARAMETERS,
        Parameters(
            genesis.consensus,
            genesis.beacon,
            genesis.staking,
            genesis.registry,
            genesis.roothash,
            genesis.dev_control_key,
        ),
    )
    begin_first_epoch(state, context, genesis.beacon.base_epoch)
    _add_accounts(state, genesis)
    for entity in genesis.entities:
        add_entity(state, entity)
    # Key managers first: ParaTimes name theirs.
    for runtime in sorted(genesis.runtimes, key=lambda one: (-one.kind, one.id)):
        add_runtime(state, runtime)
        if runtime.kind is RuntimeKind.COMPUTE:
            open_runtime(state, context, runtime)
            if genesis.mining is not None:
                state.save(state_keys.mining_key(runtime.id), genesis.mining)
        else:
            key = state_keys.key_manager_status_key(runtime.id)
            state.save(key, KeyManagerStatus(runtime.id))
    for signed in genesis.policies:
        policy = decode_record(Policy, signed.untrusted_raw_value)
        set_policy(state, load_key_manager(state, policy.id), signed)


def _verify_parameters(genesis: Genesis) -> None:
    roothash, staking = genesis.roothash, genesis.staking
    if genesis.beacon.epoch_interval_ms <= 0:
        raise InvalidGenesis("an epoch has a length")
    counts = {
        "base_epoch": genesis.beacon.base_epoch,
        "debonding_interval": staking.debonding_interval,
        "max_node_expiration": genesis.registry.max_node_expiration,
        "max_evidence_age_rounds": roothash.max_evidence_age_rounds,
        "max_past_roots_stored": roothash.max_past_roots_stored,
        "max_tx_gas": genesis.consensus.max_tx_gas,
        "min_gas_price": genesis.consensus.min_gas_price,
        "gas_tx_byte": genesis.consensus.gas_tx_byte,
    }
    amounts = (*staking.thresholds.values(), *staking.slashing.values())
    for name, value in counts.items():
        if not 0 <= value <= MAX_COUNT:
            raise InvalidGenesis(f"{name} {value}: must be 0 to {MAX_COUNT}")
    if any(not 0 <= amount <= MAX_QUANTITY for amount in amounts):
        raise InvalidGenesis("thresholds and penalties are not negative")


def _add_accounts(state: State, genesis: Genesis) -> None:
    total = 0
    for account in genesis.accounts:
        is_known = load_account(state, account.address) != Account()
        if is_known or account.address in RESERVED_ADDRESSES:
            raise InvalidGenesis(f"account {account.address.hex()} is named twice, or reserved")
        if account.balance < 0 or account.escrow < 0:
            raise InvalidGenesis(f"account {account.address.hex()} owes tokens")
        total += account.balance + account.escrow
        give(state, account.address, account.balance + account.escrow)
        if account.escrow:
            apply_add_escrow(state, account.address, account.address, account.escrow)
    if total > MAX_QUANTITY:
        raise InvalidGenesis(f"the supply is at most {MAX_QUANTITY}")
    state.save(state_keys.SUPPLY, Supply(total))
