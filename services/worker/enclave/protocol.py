"""
The messages between a worker's host and an app's enclave: all that crosses the trust boundary.

No key and no secret of the app is here in the clear. The app itself speaks to its enclave by the
socket of its daemon, which lies in the enclave's own directory.
"""

from dataclasses import dataclass
from typing import Annotated, Protocol

from shared.crypto.signing import Signature
from shared.encoding.notes import AtMost
from shared.encoding.record import Bytes21, Bytes32, Natural
from shared.types.app_runs import AppRun
from shared.types.attestation import CapabilityTee, EnclaveIdentity
from shared.types.identity import Epoch, Height, Incarnation, NodeId, PublicKey, Round, RuntimeId
from shared.types.keymanager import SignedPublicKey
from shared.types.proof import ProvenState

RawTransaction = Annotated[bytes, AtMost(1 << 20)]
MAX_PROOF_BYTES = 4 << 20
"""Of an app's record: 64 secrets of 16 KiB, and as much metadata."""


@dataclass(frozen=True, slots=True)
class EnclaveDescription:
    """Which enclave this is."""

    runtime_id: RuntimeId
    identity: EnclaveIdentity
    """As its quotes say, MRENCLAVE and MRSIGNER of a trust domain."""
    rak: PublicKey
    signer: Annotated[bytes, AtMost(33)]
    """Key by which the app sends transactions, secp256k1, compressed."""
    addresses: tuple[Bytes21, Bytes21]
    """Accounts of the two keys in the ParaTime, whose nonces transactions need."""
    key_manager: RuntimeId


@dataclass(frozen=True, slots=True)
class EnclaveState:
    """Where the enclave stands."""

    incarnation: Incarnation
    height: Height
    epoch: Epoch
    round: Round
    """Newest round that consensus is proven to have finalized."""
    expiration: Epoch | None
    """Last epoch of the registration by which it has keys; None while it has none."""
    app: AppRun | None


@dataclass(frozen=True, slots=True)
class FeeTerms:
    """What a transaction needs of the state of the ParaTime; the host says so."""

    nonces: tuple[Natural, Natural]
    """Of the accounts in `EnclaveDescription.addresses`."""
    gas_price: Natural
    """[base units]; times a limit of gas it fits into a fee."""


@dataclass(frozen=True, slots=True)
class CallKey:
    """The key to which calls of an epoch are encrypted, as the key manager vouches for it."""

    epoch: Epoch
    key: SignedPublicKey


class WorkerEnclaveApi(Protocol):
    """Messages of the host to the enclave; the host awaits what the enclave answers at once."""

    async def describe(self) -> EnclaveDescription:
        """Which enclave this is."""
        ...

    async def synchronize(self, proven: ProvenState) -> EnclaveState:
        """Verify a block and follow it; keys end with the registration that gave them."""
        ...

    async def attest(self, node_id: NodeId) -> CapabilityTee:
        """Attest the enclave's keys for a node, at the height it has verified."""
        ...

    async def sign_registration(
        self,
        app_id: Bytes21,
        epochs: int,
        endorsement: Signature,
        proof: Annotated[bytes, AtMost(1 << 18)],
        terms: FeeTerms,
    ) -> RawTransaction:
        """Sign `rofl.Register` with the newest attestation, for so many epochs beyond this one."""
        ...

    async def sign_derivations(
        self, terms: FeeTerms, key: CallKey
    ) -> tuple[RawTransaction, RawTransaction]:
        """Ask the chain for the app's root key and for the key of its secrets, sealed to us."""
        ...

    async def begin(
        self,
        root: Annotated[bytes, AtMost(4_096)],
        sek: Annotated[bytes, AtMost(4_096)],
        record: Annotated[bytes, AtMost(MAX_PROOF_BYTES)],
    ) -> EnclaveState:
        """
        Open the results of `sign_derivations`, and let the app run on.

        `record` proves the app's record, which has its secrets, under the state root of
        `EnclaveState.round`; it is looked at when the app starts.
        """
        ...

    async def halt(self) -> None:
        """End the app and its daemon; keys are dropped."""
        ...

    async def fetch_state(self) -> EnclaveState:
        """Where the enclave stands."""
        ...

    async def fetch_logs(self) -> bytes:
        """Give the end of what the app wrote."""
        ...


class WorkerHostApi(Protocol):
    """Messages of the enclave to its host, when its app sends a transaction or asks the chain."""

    def prepare(self, address: Bytes21) -> tuple[Natural, Natural]:
        """Nonce of an account, and the least price of gas."""
        ...

    def fetch_call_key(self) -> CallKey:
        """Key to which calls are encrypted now."""
        ...

    def submit(self, raw: RawTransaction) -> Bytes32:
        """Send a transaction; its hash."""
        ...

    def fetch_result(self, hash_: Bytes32) -> bytes | None:
        """Call result of a transaction in a block, CBOR; None while it is in none."""
        ...

    def query(
        self, method: Annotated[str, AtMost(128)], args: Annotated[bytes, AtMost(1 << 20)]
    ) -> bytes:
        """Ask the ParaTime; CBOR in, CBOR out."""
        ...


CONCURRENT = frozenset({"fetch_state", "fetch_logs"})
"""What reads only. All else changes the enclave, in order."""
