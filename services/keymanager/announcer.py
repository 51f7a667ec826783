"""What a key manager node tells consensus: that it is there, and the secrets it publishes."""

from shared.api.registration import Registrar
from shared.api.submission import TransactionSender, verify_result
from shared.encoding.record import encode_record
from shared.types.attestation import CapabilityTee
from shared.types.identity import Epoch
from shared.types.keymanager import SignedInitResponse, SignedPublishedSecret
from shared.types.methods import Method


class Announcer:
    """Sends this node's transactions."""

    def __init__(self, sender: TransactionSender, registrar: Registrar) -> None:
        self._sender, self._registrar = sender, registrar

    async def register(
        self, capability: CapabilityTee, init_response: SignedInitResponse, epoch: Epoch
    ) -> None:
        """Register the node with what its enclave says of itself."""
        await self._registrar.register(epoch, capability, encode_record(init_response))

    async def publish(self, secret: SignedPublishedSecret) -> None:
        """
        Send a secret and wait for the block.

        Raises
        ------
        QanatError
            Of the class by which consensus refused it.
        """
        is_ephemeral = secret.secret.generation is None
        method = Method.PUBLISH_EPHEMERAL_SECRET if is_ephemeral else Method.PUBLISH_MASTER_SECRET
        verify_result(await self._sender.send(method, secret))
