"""
What every enclave program has: fresh keys, a view of the chain that nobody can fake, attestation.

A service's program derives from `EnclaveProgram` and adds its own messages.
"""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Protocol

from shared.crypto.signing import Signer
from shared.encoding.record import decode_record
from shared.errors import Rejected, Unavailable
from shared.rules import light_client, state_keys
from shared.rules.standing import find_capability
from shared.tee.attestation import bind_rak, make_attestation
from shared.tee.collateral import required_edition
from shared.tee.encryption_keys import EncryptionKeys
from shared.tee.platform import QuoteWithCollateral
from shared.tee.runtime import EnclaveContext
from shared.tee.sealing import Sealer
from shared.types.attestation import CapabilityTee, CollateralEdition, CollateralFloor
from shared.types.identity import Epoch, Height, Incarnation, NodeId
from shared.types.proof import ProvenBytes, ProvenState, Validator

NANOSECONDS = 1_000_000_000


class ChainUnknown(Unavailable, module="tee", code=3):
    """The enclave has not seen any proven consensus state yet."""


class OtherChain(Rejected, module="tee", code=4):
    """The proven state names another chain than the one this enclave serves."""


class VerifiedState(Protocol):
    """What a light client gives: consensus state that validators have signed."""

    @property
    def incarnation(self) -> Incarnation:
        """Life of the chain in which that block was made."""
        ...

    @property
    def height(self) -> Height:
        """Block after which the values hold."""
        ...

    @property
    def time_ns(self) -> int:
        """Time of that block [ns]."""
        ...

    @property
    def values(self) -> Mapping[bytes, bytes | None]:
        """The proven values; None where a key is proven absent."""
        ...


class LightClient(Protocol):
    """Verifies consensus state from an untrusted host. Within one life heights only go forward."""

    def verify(self, untrusted: ProvenState) -> VerifiedState:
        """Verify headers, commit and proof, or raise."""
        ...

    def verify_encoded(self, untrusted: ProvenBytes) -> VerifiedState:
        """Verify them from an encoded proof."""
        ...


class EnclaveProgram:
    """Base of the programs that run in enclaves."""

    def __init__(self, context: EnclaveContext) -> None:
        """Begin with fresh keys, and without any view of the chain."""
        self.config = context.config
        self.platform = context.platform
        self.entropy = context.entropy
        self.directory = context.directory
        self.sealer = Sealer(context.platform, context.entropy)
        self.rak = Signer.generate(context.entropy, "rak")
        self.reks = EncryptionKeys(context.entropy)
        self._light_client = self._new_light_client()
        self._chain_context: str | None = None
        self.registered: CapabilityTee | None = None
        """What the registry was last proven to say of this start; see `shared.rules.standing`."""
        self._floor: CollateralFloor | None = None
        self._latest: VerifiedState | None = None
        self._quoted: QuoteWithCollateral | None = None

    def _new_light_client(self) -> LightClient:
        """Make a light client that stands at the validators of the measured configuration."""
        validators = [Validator(v.public_key, v.power) for v in self.config.validators]
        return light_client.LightClient(
            self.config.chain_id, validators, follows_rewinds=self.config.has_dev_controls
        )

    def observe(self, untrusted: ProvenState) -> VerifiedState:
        """
        Verify consensus state from the host and move the view of the chain to it.

        The first one must prove the chain context too.

        Raises
        ------
        Rejected
            What the light client refuses.
        OtherChain
            The chain context is missing, or not the one that was seen first.
        """
        return self._move_to(self._light_client.verify(untrusted))

    def observe_encoded(self, untrusted: ProvenBytes) -> VerifiedState:
        """Do what `observe` does with a proof that was not decoded."""
        return self._move_to(self._light_client.verify_encoded(untrusted))

    def _move_to(self, verified: VerifiedState) -> VerifiedState:
        known = self._latest
        if self._chain_context is None or state_keys.CHAIN_CONTEXT in verified.values:
            self._check_chain(verified.values.get(state_keys.CHAIN_CONTEXT))
        self._latest = verified
        if known is not None and known.incarnation != verified.incarnation:
            # What the registry held in the life before proves nothing in this one.
            self.registered = None
            self.enter_incarnation(verified, known.incarnation)
        found = find_capability(verified.values, self.config.runtime_id, self.rak.public_key)
        self.registered = found or self.registered
        floor_key = state_keys.collateral_floor_key(self.family)
        if floor_key in verified.values:
            raw = verified.values[floor_key]
            self._floor = None if raw is None else decode_record(CollateralFloor, raw)
        return verified

    @cached_property
    def family(self) -> str:
        """Family of the platform on which this enclave runs, as `CollateralEdition` names it."""
        tcb_info = json.loads(self.quoted().collateral.tcb_info)
        return f"{tcb_info['id']} {tcb_info['fmspc'].upper()}"

    def required_editions(self, epoch: Epoch) -> tuple[CollateralEdition, ...]:
        """Give what is asked of other enclaves' collateral in an epoch, as far as it is proven."""
        required = required_edition(self._floor, epoch)
        return () if required is None else (required,)

    def enter_incarnation(self, verified: VerifiedState, known: Incarnation) -> None:
        """
        Drop what is void in a later life of the chain; for programs that keep anything.

        The one place where an enclave goes back: it is called by a proof of the chain alone, and
        only where the light client follows rewinds (`EnclaveConfig.has_dev_controls`).

        Parameters
        ----------
        verified : `VerifiedState`
            Proven state of the new life, with the value of `state_keys.INCARNATION`.
        known : `Incarnation`
            The life that the enclave has seen before.
        """

    def _check_chain(self, value: bytes | None) -> None:
        if value is None:
            raise OtherChain("the proven state does not tell the chain context")
        chain_context = value.decode("ascii")
        if self._chain_context not in (None, chain_context):
            raise OtherChain(f"chain context {chain_context}, expected {self._chain_context}")
        self._chain_context = chain_context

    @property
    def chain_context(self) -> str:
        """Hash of the genesis document, hex, as the validators signed it."""
        if self._chain_context is None:
            raise ChainUnknown("no proven consensus state has been shown to the enclave")
        return self._chain_context

    @property
    def latest(self) -> VerifiedState:
        """Newest verified consensus state."""
        if self._latest is None:
            raise ChainUnknown("no proven consensus state has been shown to the enclave")
        return self._latest

    @property
    def now_s(self) -> int:
        """Consensus time, the only clock an enclave believes [Unix s]."""
        return self.latest.time_ns // NANOSECONDS

    def attest(self, node_id: NodeId) -> CapabilityTee:
        """Attest this enclave's keys, with a new REK, for a node at the height it has verified."""
        capability = make_attestation(
            self.platform,
            self.entropy,
            rak=self.rak,
            rek=self.reks.renew(),
            node_id=node_id,
            height=self.latest.height,
        )
        attestation = capability.attestation
        self._quoted = QuoteWithCollateral(attestation.quote, attestation.collateral)
        return capability

    def quoted(self) -> QuoteWithCollateral:
        """Give a quote that binds the RAK, for sessions: the one of the newest attestation."""
        if self._quoted is None:
            self._quoted = self.platform.quote(bind_rak(self.rak.public_key) + bytes(32))
        return self._quoted
