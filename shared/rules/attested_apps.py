"""
Which enclave may register as an instance of an attested app (ROFL).

The evidence is that of a compute node: a capability with a quote, verified by the same rules, and
the signature of a node that answers for it. What consensus knows of that node comes as a proof,
which must be new. Source: oasis-sdk `runtime-sdk/src/modules/rofl/{mod,policy}.rs` @ 00da39c.
Differs: the proof travels with the registration, and an attestation may not be old.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from shared.crypto.signing import register_context
from shared.encoding import cbor
from shared.encoding.record import decode_record
from shared.encoding.values import from_wire
from shared.errors import Rejected
from shared.rules import state_keys
from shared.rules.light_client import LightClient, VerifiedState
from shared.tee.attestation import UnknownEnclave, find_root_ca, verify_attestation
from shared.types.attestation import CapabilityTee, EnclaveIdentity, QuotePolicy, TeeConstraints
from shared.types.beacon import EpochState
from shared.types.proof import ProvenBytes, Validator
from shared.types.registry import NodeDescriptor, Role

ENDORSE_CAPABILITY = register_context("oasis-core/node: endorse TEE capability")
"""A node signs the canonical CBOR of a capability in it, `anywhere`."""
MAX_PROOF_AGE_S = 120
"""How much older than the parent of the round a proof may be [s of consensus]."""
MAX_ATTESTATION_AGE = 2
"""Largest age of an attestation [epochs], as of nodes."""
NANOSECONDS = 1_000_000_000
T = TypeVar("T")

INVALID_ARGUMENT, UNKNOWN_ENCLAVE, NODE_NOT_ALLOWED = 1, 5, 7
"""Codes of the module `rofl`."""


class StaleProof(Rejected, module="attested_app", code=1):
    """The proof is too old, of another epoch, or leaves something out."""


@dataclass(frozen=True, slots=True)
class _PcsPolicy:
    """Policy of quotes as upstream writes it; what is left out has upstream's defaults."""

    tcb_validity_period: int = 30
    min_tcb_evaluation_data_number: int = 12
    fmspc_whitelist: tuple[str, ...] = ()
    fmspc_blacklist: tuple[str, ...] = ()
    tdx: dict[str, Any] | None = None
    disabled: bool = False


@dataclass(frozen=True, slots=True)
class _Quotes:
    pcs: _PcsPolicy = _PcsPolicy()


@dataclass(frozen=True, slots=True)
class _Policy:
    endorsements: tuple[dict[str, Any], ...] = ()
    enclaves: tuple[EnclaveIdentity, ...] = ()
    quotes: _Quotes = _Quotes()
    fees: int = 2
    max_expiration: int = 0


@dataclass(frozen=True, slots=True)
class _Question:
    """See `evm_core::attested::AttestedHost::judge`."""

    capability: CapabilityTee
    node_id: bytes
    policy: _Policy
    proof: bytes
    epoch: int
    now: int


def proof_keys(node_id: bytes, epoch: int) -> tuple[bytes, ...]:
    """Keys of consensus state that a registration proves, where `epoch` is the newest."""
    oldest = max(epoch - MAX_ATTESTATION_AGE, 0)
    return (
        state_keys.node_key(node_id),
        state_keys.EPOCH,
        state_keys.INCARNATION,
        state_keys.epoch_start_key(oldest),
    )


class InstanceJudge:
    """Judges evidence; what it says follows from its arguments and its settings alone."""

    def __init__(
        self,
        *,
        runtime_id: bytes,
        chain_id: str,
        validators: Sequence[Validator],
        root_ca_hash: bytes,
        follows_rewinds: bool,
    ) -> None:
        """Take what the measured configuration of the enclave pins."""
        self._runtime_id, self._root_ca_hash = runtime_id, root_ca_hash
        self._chain_id, self._validators = chain_id, tuple(validators)
        self._follows_rewinds = follows_rewinds

    def judge(self, question: bytes) -> bytes:
        """
        Answer `AttestedHost.judge` of the native core.

        Returns
        -------
        answer : `bytes`
            CBOR `{code, entity_id?}`; 0 where the enclave may register.
        """
        try:
            node = self._verify(_read(question))
        except UnknownEnclave:
            return cbor.encode({"code": UNKNOWN_ENCLAVE})
        except _NodeNotAllowed:
            return cbor.encode({"code": NODE_NOT_ALLOWED})
        except Rejected:
            return cbor.encode({"code": INVALID_ARGUMENT})
        if node is None:
            return cbor.encode({"code": 0})
        return cbor.encode({"code": 0, "entity_id": node.entity_id})

    def _verify(self, asked: _Question) -> NodeDescriptor | None:
        proven = self._verify_proof(asked)
        epoch = _required(EpochState, proven, state_keys.EPOCH).epoch
        if not asked.epoch - 1 <= epoch <= asked.epoch + 1:
            raise StaleProof(f"the proof is of epoch {epoch}, now is {asked.epoch}")
        oldest = max(epoch - MAX_ATTESTATION_AGE, 0)
        begun = _optional(EpochState, proven, state_keys.epoch_start_key(oldest))
        constraints = TeeConstraints(asked.policy.enclaves, _quote_policy(asked.policy.quotes.pcs))
        verify_attestation(
            asked.capability,
            node_id=asked.node_id,
            constraints=constraints,
            root_ca=find_root_ca(asked.capability.attestation.collateral, self._root_ca_hash),
            now_s=asked.now,
            min_height=0 if begun is None else begun.start_height,
            max_height=proven.height,
        )
        node = _optional(NodeDescriptor, proven, state_keys.node_key(asked.node_id))
        if node is not None and node.expiration < epoch:
            node = None
        atoms = asked.policy.endorsements
        if not any(self._is_allowed(atom, asked.node_id, node) for atom in atoms):
            raise _NodeNotAllowed("the policy does not let this node endorse")
        return node

    def _verify_proof(self, asked: _Question) -> VerifiedState:
        client = LightClient(
            self._chain_id, self._validators, follows_rewinds=self._follows_rewinds
        )
        proven = client.verify_encoded(ProvenBytes(asked.proof))
        if proven.time_ns // NANOSECONDS < asked.now - MAX_PROOF_AGE_S:
            raise StaleProof(f"the proof is older than {MAX_PROOF_AGE_S} s")
        return proven

    def _is_allowed(
        self, atom: dict[str, Any], node_id: bytes, node: NodeDescriptor | None
    ) -> bool:
        """Say whether an atom of the policy allows a node; its form the core has verified."""
        ((name, argument),) = atom.items()
        match name:
            case "any":
                return True
            case "node":
                return node is not None and bool(argument == node_id)
            case "entity":
                return node is not None and bool(argument == node.entity_id)
            case "role_compute" | "role_observer":
                role = Role.COMPUTE if name == "role_compute" else Role.OBSERVER
                serves = node is not None and self._runtime_id in (one.id for one in node.runtimes)
                return serves and node is not None and bool(node.roles & role)
            case "and":
                return all(self._is_allowed(child, node_id, node) for child in argument)
            case "or":
                return any(self._is_allowed(child, node_id, node) for child in argument)
            case _:
                # There is no market here, so nobody is a provider.
                return False


class _NodeNotAllowed(Rejected, module="attested_app", code=2):
    """The policy does not let this node answer for an instance."""


def _read(question: bytes) -> _Question:
    read: _Question = from_wire(_Question, cbor.decode(question))
    return read


def _quote_policy(pcs: _PcsPolicy) -> QuotePolicy:
    if pcs.disabled:
        raise _NodeNotAllowed("the policy accepts no quotes")
    return QuotePolicy(
        tcb_validity_days=pcs.tcb_validity_period,
        min_tcb_evaluation_data_number=pcs.min_tcb_evaluation_data_number,
        fmspc_whitelist=pcs.fmspc_whitelist,
        fmspc_blacklist=pcs.fmspc_blacklist,
        allow_tdx=pcs.tdx is not None,
    )


def _required(kind: type[T], proven: VerifiedState, key: bytes) -> T:
    found = _optional(kind, proven, key)
    if found is None:
        raise StaleProof("the proof leaves out what a registration needs")
    return found


def _optional(kind: type[T], proven: VerifiedState, key: bytes) -> T | None:
    if key not in proven.values:
        raise StaleProof("the proof leaves out what a registration needs")
    raw = proven.values[key]
    return None if raw is None else decode_record(kind, raw)
