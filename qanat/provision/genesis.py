"""The genesis document of a network, and the measured configuration of its enclaves."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from qanat.accounts import WEI_PER_TOKEN
from qanat.cpu import TCB_VALIDITY_DAYS
from qanat.network import KeyManager, Network, ParaTime
from qanat.provision.genesis_file import load_genesis_accounts
from qanat.provision.identities import Identity
from qanat.provision.policy import POLICY_THRESHOLD, sign_policy
from shared.crypto.address import ethereum_address, runtime_address, staking_address
from shared.crypto.hashes import sha256
from shared.crypto.signing import Signer
from shared.encoding.quantity import encode_quantity
from shared.encoding.record import encode_record
from shared.tee.config import EnclaveConfig
from shared.types.attestation import EnclaveIdentity, QuotePolicy, TeeConstraints
from shared.types.evm import EvmGenesis
from shared.types.genesis import (
    BeaconParameters,
    ConsensusParameters,
    Genesis,
    GenesisAccount,
    GenesisValidator,
    RegistryParameters,
    StakingParameters,
)
from shared.types.identity import Epoch, RuntimeId
from shared.types.keymanager import EnclavePolicy, Policy, SignedPolicy
from shared.types.methods import Method
from shared.types.mining import REPLAYED, Mining
from shared.types.registry import (
    Deployment,
    Entity,
    ExecutorParameters,
    RuntimeDescriptor,
    RuntimeKind,
    SchedulerParameters,
    Version,
)
from shared.types.sdk_transaction import SdkGenesis

VERSION = Version(0, 1, 0)
MIN_GAS_PRICE = 1
GAS_TX_BYTE = 1
GAS_COSTS = {method.value: 1_000 for method in Method} | {
    Method.EXECUTOR_COMMIT: 10_000,
    Method.EVIDENCE: 5_000,
    Method.ADVANCE_EPOCH: 10_000,
    Method.MOVE_TIME: 1_000,
    Method.MINE: 10_000,
    Method.SET_MINING: 1_000,
    Method.SET_NEXT_TIMESTAMP: 1_000,
}
"""Nobody without tokens has a place in a block. Source: the proportions of mainnet's genesis."""
SENDER_BALANCE = 1_000_000_000_000_000
"""Of each key that sends transactions: 10^15 base units pay for some 10^11 votes."""
ENTITY_BALANCE = 1_000_000_000_000
ENTITY_STAKE = 1_000_000_000_000
"""1,000 tokens of 10^9 base units: enough for every threshold and several penalties."""
BASE_UNITS_PER_TOKEN = 1_000_000_000
MAX_BACKING = 10**18
"""A thousand million tokens: the ledger counts to 2^64, and a developer gives what he likes."""
EPOCH_OF_REPLAYS_MS = 50 * 365 * 86_400_000
"""Epochs of a network with a seed begin when they are asked for: fifty years [ms]."""
STAKE_THRESHOLDS = {
    "entity": 100_000_000_000,
    "node-compute": 100_000_000_000,
    "node-keymanager": 100_000_000_000,
    "node-validator": 100_000_000_000,
    "runtime-compute": 50_000_000_000,
    "runtime-keymanager": 50_000_000_000,
}
SLASHING = {
    "consensus-equivocation": 50_000_000_000,
    "runtime-incorrect-results": 50_000_000_000,
    "runtime-equivocation": 40_000_000_000,
    "runtime-liveness": 30_000_000_000,
}
"""The proportions of upstream's e2e penalties, 50/40/30."""


def build_enclave_configs(
    network: Network,
    validators: tuple[GenesisValidator, ...],
    root_ca: bytes,
    signers: list[Signer],
    debug_key: bytes | None,
    dev_control_key: bytes | None,
) -> dict[str, EnclaveConfig]:
    """
    Say what the enclaves of each runtime pin: validators, root CA, policy signers, dev controls.

    Parameters
    ----------
    debug_key : `bytes`, optional
        Ed25519 key, 32 bytes, that EVMs let see everything; None where the network has none.
    dev_control_key : `bytes`, optional
        Ed25519 key that may edit the state of EVMs; None where the network has none.

    Returns
    -------
    configs : `dict`
        By name of the runtime; of one with a node that can lie, also by `liar_of` this name.
    """

    def config(
        kind: RuntimeKind,
        runtime_id: str,
        key_manager: str | None,
        runtime: str | None,
        debug_key: bytes | None = None,
    ) -> EnclaveConfig:
        return EnclaveConfig(
            runtime_id=bytes.fromhex(runtime_id),
            kind=kind,
            version=VERSION,
            chain_id=network.chain_id,
            validators=validators,
            root_ca_hash=sha256(root_ca),
            key_manager=_key_manager_id(network, key_manager),
            policy_signers=tuple(signer.public_key for signer in signers),
            policy_threshold=POLICY_THRESHOLD,
            runtime=runtime,
            has_dev_controls=network.dev_controls,
            debug_key=debug_key,
            dev_control_key=dev_control_key if kind is RuntimeKind.COMPUTE else None,
        )

    managers = {
        one.name: config(RuntimeKind.KEY_MANAGER, one.id, None, None) for one in network.key_manager
    }
    paratimes = {
        one.name: config(
            RuntimeKind.COMPUTE,
            one.id,
            one.key_manager,
            one.runtime,
            debug_key if one.is_evm else None,
        )
        for one in network.paratime
    }
    liars = {
        liar_of(name): replace(paratimes[name], runtime=f"lying:runtimes.{paratimes[name].runtime}")
        for override in network.node
        for name in override.can_lie
    }
    return managers | paratimes | liars


def liar_of(runtime: str) -> str:
    """Name of the enclave that lies for a runtime; no runtime has such a name."""
    return f"{runtime}!"


def _key_manager_id(network: Network, name: str | None) -> RuntimeId | None:
    return None if name is None else bytes.fromhex(network.find_key_manager(name).id)


def build_genesis(
    network: Network,
    *,
    time_ns: int,
    identities: dict[str, Identity],
    gateways: tuple[bytes, ...],
    validators: tuple[GenesisValidator, ...],
    root_ca: bytes,
    enclaves: dict[str, EnclaveIdentity],
    signers: list[Signer],
    balances: dict[str, int],
    dev_control_key: bytes | None,
    is_replayed: bool = False,
    fee_accounts: Mapping[str, Mapping[str, int]] | None = None,
) -> Genesis:
    """
    Build the document.

    Parameters
    ----------
    identities : `dict`
        By node name.
    gateways : `tuple`
        Node keys of gateways, 32 bytes each.
    enclaves : `dict`
        Measured identity by name, as of `build_enclave_configs`.
    balances : `dict`
        Ethereum address to whole tokens.
    is_replayed : `bool`
        Whether two runs are to make the same rounds, however fast their nodes are (ADR 0040).
    fee_accounts : `Mapping`, optional
        Of workers, by ParaTime: address to whole tokens.
    """
    funded = {
        one.name: balances | dict((fee_accounts or {}).get(one.name, {}))
        for one in network.paratime
    }
    epoch_ms = EPOCH_OF_REPLAYS_MS if is_replayed else network.epoch_interval_s * 1000
    owner = identities[network.consensus.nodes[0]].entity.public_key
    return Genesis(
        chain_id=network.chain_id,
        time_ns=time_ns,
        validators=validators,
        consensus=ConsensusParameters(
            min_gas_price=MIN_GAS_PRICE, gas_tx_byte=GAS_TX_BYTE, gas_costs=GAS_COSTS
        ),
        beacon=BeaconParameters(epoch_ms, Epoch(network.base_epoch)),
        staking=StakingParameters(thresholds=STAKE_THRESHOLDS, slashing=SLASHING),
        registry=RegistryParameters(tee_root_ca_hash=sha256(root_ca), tee_root_ca=root_ca),
        accounts=(
            *_accounts(identities, dev_control_key),
            *(
                GenesisAccount(runtime_address(bytes.fromhex(one.id)), _backing(funded[one.name]))
                for one in network.paratime
                if one.is_evm
            ),
        ),
        entities=tuple(
            Entity(identity.entity.public_key, (identity.node.public_key,))
            for identity in identities.values()
        ),
        runtimes=(
            *(
                _key_manager(one, owner, _identities(enclaves, one.name), signers)
                for one in network.key_manager
            ),
            *(
                _paratime(
                    network,
                    one,
                    owner,
                    _identities(enclaves, one.name),
                    funded[one.name],
                    min_pool_size=len(one.nodes) if is_replayed else None,
                )
                for one in network.paratime
            ),
        ),
        policies=tuple(_policy(network, one, enclaves, signers) for one in network.key_manager),
        dev_control_key=dev_control_key,
        mining=REPLAYED if is_replayed else _mining(network),
        gateways=gateways,
    )


def _mining(network: Network) -> Mining | None:
    step_s = network.block_time_step_s
    return Mining(step_s=step_s) if step_s else None


def _backing(balances: dict[str, int]) -> int:
    """What stands in consensus for the tokens of a ParaTime's accounts [base units]."""
    return min(sum(balances.values()) * BASE_UNITS_PER_TOKEN, MAX_BACKING)


def _accounts(
    identities: dict[str, Identity], dev_control_key: bytes | None
) -> tuple[GenesisAccount, ...]:
    senders = [identity.node.public_key for identity in identities.values()]
    if dev_control_key is not None:
        senders.append(dev_control_key)
    return (
        *(
            GenesisAccount(staking_address(one.entity.public_key), ENTITY_BALANCE, ENTITY_STAKE)
            for one in identities.values()
        ),
        *(GenesisAccount(staking_address(key), SENDER_BALANCE) for key in senders),
    )


def _identities(enclaves: dict[str, EnclaveIdentity], name: str) -> tuple[EnclaveIdentity, ...]:
    """Give the enclaves that a deployment lists: the honest one, and a liar where there is one."""
    return tuple(enclaves[one] for one in (name, liar_of(name)) if one in enclaves)


def _deployments(enclaves: tuple[EnclaveIdentity, ...]) -> tuple[Deployment, ...]:
    # The mock issues its TCB data once, and chain time may be moved far on (ADR 0004).
    policy = QuotePolicy(tcb_validity_days=TCB_VALIDITY_DAYS)
    return (Deployment(VERSION, Epoch(0), TeeConstraints(enclaves, policy)),)


def _key_manager(
    manager: KeyManager,
    owner: bytes,
    enclaves: tuple[EnclaveIdentity, ...],
    signers: list[Signer],
) -> RuntimeDescriptor:
    return RuntimeDescriptor(
        id=bytes.fromhex(manager.id),
        entity_id=owner,
        kind=RuntimeKind.KEY_MANAGER,
        deployments=_deployments(enclaves),
        policy_signers=tuple(signer.public_key for signer in signers),
        policy_threshold=POLICY_THRESHOLD,
    )


def _paratime(
    network: Network,
    paratime: ParaTime,
    owner: bytes,
    enclaves: tuple[EnclaveIdentity, ...],
    balances: dict[str, int],
    *,
    min_pool_size: int | None,
) -> RuntimeDescriptor:
    committee = paratime.committee
    return RuntimeDescriptor(
        id=bytes.fromhex(paratime.id),
        entity_id=owner,
        kind=RuntimeKind.COMPUTE,
        deployments=_deployments(enclaves),
        key_manager=_key_manager_id(network, paratime.key_manager),
        executor=ExecutorParameters(
            group_size=committee.workers,
            group_backup_size=committee.backup_workers,
            round_timeout_ms=committee.round_timeout_ms,
            min_pool_size=min_pool_size,
        ),
        scheduler=SchedulerParameters(
            batch_flush_timeout_ms=committee.batch_flush_timeout_ms,
            propose_batch_timeout_ms=committee.propose_batch_timeout_ms,
        ),
        slashing={reason: SLASHING[reason] for reason in SLASHING if reason.startswith("runtime")},
        genesis=_runtime_genesis(paratime, balances),
        keep_rounds=paratime.keep_rounds or None,
    )


def _runtime_genesis(paratime: ParaTime, balances: dict[str, int]) -> bytes:
    if not paratime.is_evm:
        funded = (
            (ethereum_address(bytes.fromhex(address.removeprefix("0x"))), tokens * WEI_PER_TOKEN)
            for address, tokens in sorted(balances.items())
        )
        return encode_record(SdkGenesis(paratime.confidential, tuple(funded)))
    return encode_record(
        EvmGenesis(
            chain_id=paratime.evm_chain_id or 0,
            confidential=paratime.confidential,
            balances=tuple(
                (bytes.fromhex(address.removeprefix("0x")), encode_quantity(tokens * WEI_PER_TOKEN))
                for address, tokens in sorted(balances.items())
            ),
            predeployed=paratime.predeployed,
            charges_for_size=not paratime.begins_with_ethereum_gas,
            accounts=(
                () if paratime.genesis is None else load_genesis_accounts(Path(paratime.genesis))
            ),
        )
    )


def _policy(
    network: Network,
    manager: KeyManager,
    enclaves: dict[str, EnclaveIdentity],
    signers: list[Signer],
) -> SignedPolicy:
    policy = Policy(
        serial=1,
        id=bytes.fromhex(manager.id),
        enclaves=(
            EnclavePolicy(
                enclave=enclaves[manager.name],
                may_query={
                    bytes.fromhex(one.id): _identities(enclaves, one.name)
                    for one in network.paratime
                    if one.key_manager == manager.name
                },
            ),
        ),
        master_secret_rotation_interval=manager.master_secret_rotation_interval,
        max_ephemeral_secret_age=manager.max_ephemeral_secret_age,
    )
    return sign_policy(policy, signers)
