"""What the nodes of a test world have in common: keys by name, and the genesis document."""

from shared.crypto.address import runtime_address, staking_address
from shared.crypto.hashes import sha256
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.kit.identity import NodeIdentity
from shared.types.attestation import EnclaveIdentity
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
from shared.types.keymanager import EnclavePolicy
from shared.types.registry import (
    Deployment,
    Entity,
    RuntimeDescriptor,
    RuntimeKind,
    SchedulerParameters,
    Version,
)
from tests.support import mock_tee
from tests.support.keymanager import (
    COMPUTE,
    KEY_MANAGER,
    KEY_MANAGER_ID,
    PARATIME_ID,
    SIGNER_KEYS,
    make_policy,
    sign_policy,
)

CHAIN_ID = "qanat-world"
EVM_CHAIN_ID = 0x5AFD
VERSION = Version(0, 1, 0)
BASE_EPOCH = 2
START_NS = mock_tee.NOW_S * 1_000_000_000
STAKE, FUNDS = 10**12, 10**15
SLASHING = {"runtime-incorrect-results": 10**10, "runtime-equivocation": 10**10}
CONSENSUS = "consensus-0"


def identity_of(name: str) -> NodeIdentity:
    uses = ("node", "consensus", "tls", "entity", "dev control")
    return NodeIdentity(*(Signer(sha256(f"{name} {use}".encode())) for use in uses))


def node_id_of(name: str) -> bytes:
    return identity_of(name).node.public_key


SCALE = 10**9
"""Base units of the ParaTime in one of consensus."""


def address_of(name: str) -> str:
    return f"{name}:1"


def make_genesis(
    names: tuple[str, ...],
    *,
    balances: tuple[tuple[bytes, int], ...] = (),
    epoch_s: int = 600,
    confidential: bool = True,
    scheduler: SchedulerParameters | None = None,
    enclaves: tuple[EnclaveIdentity, ...] = (COMPUTE,),
    keep_rounds: int | None = None,
) -> Genesis:
    """
    Make the document for key managers and compute nodes of these names.

    `enclaves` is what compute nodes may run; the key manager's policy lists the same.
    """
    keys = {name: identity_of(name) for name in (CONSENSUS, *names)}
    owner = keys[CONSENSUS]
    root_ca = mock_tee.pki().root_ca
    control = owner.dev_control
    assert control is not None
    senders = [one.node.public_key for one in keys.values()] + [control.public_key]
    policy = make_policy(enclaves=(EnclavePolicy(KEY_MANAGER, {PARATIME_ID: enclaves}),))
    evm = EvmGenesis(
        chain_id=EVM_CHAIN_ID,
        balances=tuple((address, amount.to_bytes(32, "big")) for address, amount in balances),
        confidential=confidential,
    )
    return Genesis(
        chain_id=CHAIN_ID,
        time_ns=START_NS,
        validators=(GenesisValidator(owner.consensus.public_key, 10),),
        consensus=ConsensusParameters(min_gas_price=1, gas_tx_byte=1),
        beacon=BeaconParameters(epoch_s * 1000, BASE_EPOCH),
        staking=StakingParameters({"entity": 1, "node-compute": 1}, {}),
        registry=RegistryParameters(2, sha256(root_ca), root_ca),
        accounts=(
            *(
                GenesisAccount(staking_address(one.entity.public_key), FUNDS, STAKE)
                for one in keys.values()
            ),
            *(GenesisAccount(staking_address(key), FUNDS) for key in senders),
            GenesisAccount(runtime_address(PARATIME_ID), sum(n for _, n in balances) // SCALE),
        ),
        entities=tuple(
            Entity(one.entity.public_key, (one.node.public_key,)) for one in keys.values()
        ),
        runtimes=(
            RuntimeDescriptor(
                KEY_MANAGER_ID,
                owner.entity.public_key,
                RuntimeKind.KEY_MANAGER,
                (Deployment(VERSION, 0, mock_tee.constraints(KEY_MANAGER)),),
                policy_signers=SIGNER_KEYS,
                policy_threshold=2,
            ),
            RuntimeDescriptor(
                PARATIME_ID,
                owner.entity.public_key,
                RuntimeKind.COMPUTE,
                (Deployment(VERSION, 0, mock_tee.constraints(*enclaves)),),
                key_manager=KEY_MANAGER_ID,
                scheduler=scheduler or SchedulerParameters(),
                slashing=SLASHING,
                genesis=encode_record(evm),
                keep_rounds=keep_rounds,
            ),
        ),
        policies=(sign_policy(policy),),
        dev_control_key=control.public_key,
    )
