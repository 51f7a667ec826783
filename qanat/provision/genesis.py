"""The genesis document of a network, and the measured configuration of its enclaves."""

from dataclasses import dataclass

from qanat.accounts import WEI_PER_TOKEN
from qanat.cpu import TCB_VALIDITY_DAYS
from qanat.network import Network
from qanat.provision.identities import Identity
from shared.crypto.address import staking_address
from shared.crypto.hashes import sha256
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.tee.config import EnclaveConfig
from shared.types.attestation import EnclaveIdentity, QuotePolicy, TeeConstraints
from shared.types.genesis import (
    BeaconParameters,
    ConsensusParameters,
    Genesis,
    GenesisAccount,
    GenesisValidator,
    RegistryParameters,
    StakingParameters,
)
from shared.types.identity import Epoch
from shared.types.keymanager import POLICY, EnclavePolicy, Policy, SignedPolicy
from shared.types.registry import (
    Deployment,
    Entity,
    EvmGenesis,
    ExecutorParameters,
    RuntimeDescriptor,
    RuntimeKind,
    SchedulerParameters,
    Version,
)

VERSION = Version(0, 1, 0)
POLICY_SIGNERS = 3
POLICY_THRESHOLD = 2
"""As upstream's test builds: two of three. Source: oasis-core keymanager/src/policy @ f9f1fdc."""

ENTITY_BALANCE = 1_000_000_000_000
ENTITY_STAKE = 1_000_000_000_000
"""1,000 tokens of 10^9 base units: enough for every threshold and several penalties."""
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


@dataclass(frozen=True, slots=True)
class EnclaveConfigs:
    """Measured configuration by service."""

    keymanager: EnclaveConfig
    compute: EnclaveConfig


def build_enclave_configs(
    network: Network,
    validators: tuple[GenesisValidator, ...],
    root_ca: bytes,
    signers: list[Signer],
) -> EnclaveConfigs:
    """Say what the enclaves pin: validators, root CA and policy signers."""

    def config(kind: RuntimeKind, runtime_id: str, key_manager: str | None) -> EnclaveConfig:
        return EnclaveConfig(
            runtime_id=bytes.fromhex(runtime_id),
            kind=kind,
            version=VERSION,
            chain_id=network.chain_id,
            validators=validators,
            root_ca_hash=sha256(root_ca),
            key_manager=None if key_manager is None else bytes.fromhex(key_manager),
            policy_signers=tuple(signer.public_key for signer in signers),
            policy_threshold=POLICY_THRESHOLD,
        )

    return EnclaveConfigs(
        keymanager=config(RuntimeKind.KEY_MANAGER, network.key_manager.id, None),
        compute=config(RuntimeKind.COMPUTE, network.paratime.id, network.key_manager.id),
    )


def build_genesis(
    network: Network,
    *,
    time_ns: int,
    identities: dict[str, Identity],
    validators: tuple[GenesisValidator, ...],
    root_ca: bytes,
    enclaves: dict[str, EnclaveIdentity],
    signers: list[Signer],
    balances: dict[str, int],
    dev_control_key: bytes | None,
) -> Genesis:
    """
    Build the document.

    Parameters
    ----------
    identities : `dict`
        By node name.
    enclaves : `dict`
        Measured identity by service, `keymanager` and `compute`.
    balances : `dict`
        Ethereum address to whole tokens.
    """
    owner = identities["consensus-0"].entity.public_key
    return Genesis(
        chain_id=network.chain_id,
        time_ns=time_ns,
        validators=validators,
        consensus=ConsensusParameters(),
        beacon=BeaconParameters(network.epoch_interval_s * 1000, Epoch(network.base_epoch)),
        staking=StakingParameters(thresholds=STAKE_THRESHOLDS, slashing=SLASHING),
        registry=RegistryParameters(tee_root_ca_hash=sha256(root_ca), tee_root_ca=root_ca),
        accounts=tuple(
            GenesisAccount(
                staking_address(identity.entity.public_key), ENTITY_BALANCE, ENTITY_STAKE
            )
            for identity in identities.values()
        ),
        entities=tuple(
            Entity(identity.entity.public_key, (identity.node.public_key,))
            for identity in identities.values()
        ),
        runtimes=(
            _key_manager(network, owner, enclaves["keymanager"]),
            _paratime(network, owner, enclaves["compute"], balances),
        ),
        policies=(_policy(network, enclaves, signers),),
        dev_control_key=dev_control_key,
    )


def _deployments(enclave: EnclaveIdentity) -> tuple[Deployment, ...]:
    # The mock issues its TCB data once, and chain time may be moved far on (ADR 0004).
    policy = QuotePolicy(tcb_validity_days=TCB_VALIDITY_DAYS)
    return (Deployment(VERSION, Epoch(0), TeeConstraints((enclave,), policy)),)


def _key_manager(network: Network, owner: bytes, enclave: EnclaveIdentity) -> RuntimeDescriptor:
    return RuntimeDescriptor(
        id=bytes.fromhex(network.key_manager.id),
        entity_id=owner,
        kind=RuntimeKind.KEY_MANAGER,
        deployments=_deployments(enclave),
    )


def _paratime(
    network: Network, owner: bytes, enclave: EnclaveIdentity, balances: dict[str, int]
) -> RuntimeDescriptor:
    paratime = network.paratime
    evm = EvmGenesis(
        chain_id=paratime.evm_chain_id,
        confidential=paratime.confidential,
        balances=tuple(
            (bytes.fromhex(address.removeprefix("0x")), _quantity(tokens * WEI_PER_TOKEN))
            for address, tokens in sorted(balances.items())
        ),
    )
    return RuntimeDescriptor(
        id=bytes.fromhex(paratime.id),
        entity_id=owner,
        kind=RuntimeKind.COMPUTE,
        deployments=_deployments(enclave),
        key_manager=bytes.fromhex(network.key_manager.id),
        executor=ExecutorParameters(
            group_size=paratime.workers,
            group_backup_size=paratime.backup_workers,
            round_timeout_ms=paratime.round_timeout_ms,
        ),
        scheduler=SchedulerParameters(
            batch_flush_timeout_ms=paratime.batch_flush_timeout_ms,
            propose_batch_timeout_ms=paratime.propose_batch_timeout_ms,
        ),
        slashing={reason: SLASHING[reason] for reason in SLASHING if reason.startswith("runtime")},
        genesis=encode_record(evm),
    )


def _policy(
    network: Network, enclaves: dict[str, EnclaveIdentity], signers: list[Signer]
) -> SignedPolicy:
    policy = Policy(
        serial=1,
        id=bytes.fromhex(network.key_manager.id),
        enclaves=(
            EnclavePolicy(
                enclave=enclaves["keymanager"],
                may_query={bytes.fromhex(network.paratime.id): (enclaves["compute"],)},
            ),
        ),
        master_secret_rotation_interval=network.key_manager.master_secret_rotation_interval,
        max_ephemeral_secret_age=network.key_manager.max_ephemeral_secret_age,
    )
    raw = encode_record(policy)
    signed = tuple(signer.endorse(POLICY.anywhere(), raw) for signer in signers[:POLICY_THRESHOLD])
    return SignedPolicy(raw, signed)


def _quantity(amount: int) -> bytes:
    return amount.to_bytes((amount.bit_length() + 7) // 8, "big")
