"""Registering a node: its descriptor under all of its keys."""

import asyncio
from dataclasses import dataclass

import structlog

from shared.api.submission import TransactionSender, verify_result
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
from shared.errors import Rejected
from shared.types.attestation import CapabilityTee
from shared.types.identity import Epoch, RuntimeId
from shared.types.methods import Method
from shared.types.registry import (
    REGISTER_NODE,
    NodeDescriptor,
    NodeRuntime,
    Role,
    SignedDescriptor,
    Version,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """Keys that sign a descriptor."""

    node: Signer
    consensus: Signer
    tls: Signer
    entity_id: bytes


@dataclass(frozen=True, slots=True)
class ServedRuntime:
    """A runtime that the node serves, and how."""

    id: RuntimeId
    version: Version
    role: Role


class NodeRegistrar:
    """
    Registers one node with all runtimes that it serves, again in each epoch.

    A descriptor replaces the one before, so each renewal lists what the other runtimes last showed.
    """

    def __init__(
        self,
        sender: TransactionSender,
        keys: NodeKeys,
        chain_context: str,
        *,
        addresses: tuple[str, ...],
        software_version: str,
    ) -> None:
        self.sender = sender
        self._keys = keys
        self._context = REGISTER_NODE.for_chain(chain_context)
        self._addresses, self._software_version = addresses, software_version
        self._shown: dict[RuntimeId, tuple[Role, NodeRuntime]] = {}
        self._order = asyncio.Lock()

    async def renew(self, epoch: Epoch, role: Role, runtime: NodeRuntime) -> None:
        """
        Register for this epoch and the next, with news of one runtime.

        Where consensus refuses the descriptor, the runtime is registered without the others: what
        is wrong with one of them must not keep this one out. They show themselves anew.

        Raises
        ------
        QanatError
            Of the class by which consensus refused the descriptor.
        """
        async with self._order:
            shown = self._shown | {runtime.id: (role, runtime)}
            try:
                await self._register(epoch, shown)
            except Rejected as error:
                if len(shown) == 1:
                    raise
                log.warning("registration_of_all_refused", epoch=epoch, reason=error.message)
                shown = {runtime.id: (role, runtime)}
                await self._register(epoch, shown)
            self._shown = shown

    async def _register(
        self, epoch: Epoch, shown: dict[RuntimeId, tuple[Role, NodeRuntime]]
    ) -> None:
        keys = self._keys
        roles = 0
        for role, _ in shown.values():
            roles |= int(role)
        descriptor = encode_record(
            NodeDescriptor(
                id=keys.node.public_key,
                entity_id=keys.entity_id,
                expiration=Epoch(epoch + 1),
                consensus_key=keys.consensus.public_key,
                tls_key=keys.tls.public_key,
                roles=roles,
                addresses=self._addresses,
                runtimes=tuple(runtime for _, (_, runtime) in sorted(shown.items())),
                software_version=self._software_version,
            )
        )
        signatures = tuple(
            key.endorse(self._context, descriptor) for key in (keys.node, keys.consensus, keys.tls)
        )
        result = await self.sender.send(
            Method.REGISTER_NODE, SignedDescriptor(descriptor, signatures)
        )
        verify_result(result)


class Registrar:
    """Registers one runtime of a node."""

    def __init__(self, node: NodeRegistrar, runtime: ServedRuntime) -> None:
        self._node, self._runtime = node, runtime

    async def register(
        self, epoch: Epoch, tee: CapabilityTee, extra_info: bytes | None = None
    ) -> None:
        """
        Register for this epoch and the next.

        Raises
        ------
        QanatError
            Of the class by which consensus refused the descriptor.
        """
        served = self._runtime
        await self._node.renew(
            epoch, served.role, NodeRuntime(served.id, served.version, tee, extra_info)
        )
