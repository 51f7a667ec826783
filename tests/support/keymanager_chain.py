"""Consensus for tests of the key manager: signed blocks over state that the test writes."""

import copy
from dataclasses import replace
from typing import Any

from qanat.cpu.hardware import FMSPC
from services.consensus.abci import BlockResult
from services.consensus.engine.chain_state import Chain, sign_block
from services.consensus.proofs import build_proven_state, prove_items
from services.keymanager.rules.proven_chain import proven_keys
from shared.crypto.signing import Signer
from shared.crypto.state_tree import StateTree
from shared.encoding.record import encode_record
from shared.rules import headers, state_keys
from shared.rules.incarnations import FIRST_LIFE, with_start
from shared.rules.meta import encode_meta
from shared.types.beacon import EpochState
from shared.types.incarnation import IncarnationStart
from shared.types.keymanager import KeyManagerStatus, SignedPublishedSecret
from shared.types.proof import ProvenState, Validator
from shared.types.registry import NodeDescriptor

CHAIN_ID = "qanat-test"
CHAIN_CONTEXT = "ab" * 32
FAMILY = "SGX " + FMSPC.hex().upper()
SECOND = 1_000_000_000


class ScriptedChain:
    """One validator signs whatever state the test has written."""

    def __init__(self, runtime, *, start_ns: int, epoch: int = 2) -> None:
        self.signer = Signer(b"\x07" * 32)
        self.runtime_id = runtime.id
        validators = (Validator(self.signer.public_key, 10),)
        self._chain = Chain(
            CHAIN_ID, 0, start_ns, None, validators, validators, b"", b"", 1_000_000
        )
        self._transactions: tuple[bytes, ...] = ()
        self.tree = StateTree.empty()
        self.status = KeyManagerStatus(runtime.id)
        self.epoch = epoch
        self.nodes: dict[bytes, NodeDescriptor] = {}
        self.master: SignedPublishedSecret | None = None
        self.ephemeral: SignedPublishedSecret | None = None
        self._changes: dict[bytes, bytes | None] = {
            state_keys.CHAIN_CONTEXT: CHAIN_CONTEXT.encode(),
            state_keys.runtime_key(runtime.id): encode_record(runtime),
        }
        self.life = FIRST_LIFE

    def snapshot(self) -> dict[str, Any]:
        """Remember where the chain stands."""
        return copy.copy(self.__dict__) | {"nodes": dict(self.nodes)}

    def rewind(self, snapshot: dict[str, Any]) -> None:
        """Go back to where the chain stood; the next block is of another life than before."""
        incarnation = self.life.incarnation + 1
        self.__dict__.update(snapshot)
        secrets = {}
        if self.ephemeral is not None:
            secrets[self.runtime_id] = self.ephemeral.secret.epoch
        start = IncarnationStart(incarnation, self._chain.height, {}, secrets)
        self.life = with_start(self.life, start)
        self.write(state_keys.INCARNATION, self.life)

    def write(self, key: bytes, record: object | None) -> None:
        self._changes[key] = None if record is None else encode_record(record)

    def publish(self, signed) -> None:
        """Put a published secret where consensus keeps the newest of its kind."""
        if signed.secret.generation is None:
            self.ephemeral = signed
            self.write(state_keys.ephemeral_secret_key(self.runtime_id), signed)
        else:
            self.master = signed
            self.write(state_keys.master_secret_key(self.runtime_id), signed)

    def register(self, descriptor: NodeDescriptor) -> None:
        self.nodes[descriptor.id] = descriptor
        self.status = replace(self.status, nodes=tuple(sorted(self.nodes)))
        self.write(state_keys.node_key(descriptor.id), descriptor)

    def accept_master(self, signed) -> None:
        """Do what consensus does when enough members have stored a proposal."""
        self.status = replace(
            self.status,
            is_initialized=True,
            generation=signed.secret.generation,
            checksum=signed.secret.secret.checksum,
            rotation_epoch=self.epoch,
        )

    def block(self, *, seconds: float = 1.0) -> ProvenState:
        """Make the next block, and prove all that a key manager reads."""
        self.write(state_keys.EPOCH, EpochState(self.epoch, 1, 0, bytes(32)))
        self.write(state_keys.key_manager_status_key(self.runtime_id), self.status)
        self.tree = self.tree.with_changes(self._changes)
        self._changes = {}
        transactions = (encode_meta(self.tree.root, self.life.incarnation),)
        proposer = headers.validator_address(self.signer.public_key)
        time_ns = self._chain.time_ns + int(seconds * SECOND)
        header = self._chain.build_header(time_ns, transactions, (), proposer)
        last_commit = None if self._chain.last is None else self._chain.last.commit
        block = sign_block(
            self.signer, header, self._chain.validators, transactions, (), last_commit
        )
        self._chain = self._chain.after(block, BlockResult(self.tree.root, ()), ())
        self._transactions = transactions
        return self.prove()

    def prove(self) -> ProvenState:
        """Prove the state after the newest block once more."""
        # Of every node: each enclave is shown the same, and finds its own among them.
        members = (*self.status.nodes, *self.nodes)
        keys = proven_keys(self.runtime_id, members, self.runtime_id, FAMILY)
        block = self._chain.last
        assert block is not None
        return build_proven_state(block, self._transactions, prove_items(self.tree, keys))
