"""Registering a node: its descriptor under all of its keys."""

from dataclasses import dataclass

from shared.api.submission import TransactionSender, verify_result
from shared.crypto.signing import Signer
from shared.encoding.record import encode_record
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


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """Keys that sign a descriptor."""

    node: Signer
    consensus: Signer
    tls: Signer
    entity_id: bytes


@dataclass(frozen=True, slots=True)
class ServedRuntime:
    """The runtime that the node serves, and how."""

    id: RuntimeId
    version: Version
    role: Role


class Registrar:
    """Registers one node, again in each epoch."""

    def __init__(
        self,
        sender: TransactionSender,
        keys: NodeKeys,
        runtime: ServedRuntime,
        chain_context: str,
        *,
        addresses: tuple[str, ...],
        software_version: str,
    ) -> None:
        self._sender, self._keys, self._runtime = sender, keys, runtime
        self._context = REGISTER_NODE.for_chain(chain_context)
        self._addresses, self._software_version = addresses, software_version

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
        keys = self._keys
        descriptor = encode_record(
            NodeDescriptor(
                id=keys.node.public_key,
                entity_id=keys.entity_id,
                expiration=Epoch(epoch + 1),
                consensus_key=keys.consensus.public_key,
                tls_key=keys.tls.public_key,
                roles=int(self._runtime.role),
                addresses=self._addresses,
                runtimes=(NodeRuntime(self._runtime.id, self._runtime.version, tee, extra_info),),
                software_version=self._software_version,
            )
        )
        signatures = tuple(
            key.endorse(self._context, descriptor) for key in (keys.node, keys.consensus, keys.tls)
        )
        result = await self._sender.send(
            Method.REGISTER_NODE, SignedDescriptor(descriptor, signatures)
        )
        verify_result(result)
