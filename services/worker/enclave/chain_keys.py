"""The key to which an enclave encrypts calls: the one that the proven key manager signed."""

from collections.abc import Mapping

from services.worker.enclave.errors import KeyManagerUnknown
from services.worker.enclave.protocol import CallKey
from shared.encoding.record import decode_record
from shared.rules import state_keys
from shared.rules.key_ids import transaction_key_id
from shared.rules.key_policy import verify_public_key
from shared.rules.sealed_calls import EpochKey
from shared.types.keymanager import KeyManagerStatus


class ChainKeys:
    """What is proven of the key manager. Whoever forged this key could forge the app's root."""

    def __init__(self, runtime_id: bytes, key_manager: bytes) -> None:
        self._runtime_id, self._key_manager = runtime_id, key_manager
        self._rsk: bytes | None = None

    def follow(self, values: Mapping[bytes, bytes | None]) -> None:
        """Take up what proven values tell of the key manager."""
        key = state_keys.key_manager_status_key(self._key_manager)
        if key in values:
            raw = values[key]
            self._rsk = None if raw is None else decode_record(KeyManagerStatus, raw).rsk

    def verify(self, untrusted: CallKey, *, chain_context: str, epoch: int) -> EpochKey:
        """
        Verify a key that the host brought, in an epoch.

        Raises
        ------
        KeyManagerUnknown
            No key manager is proven.
        PublicKeyExpired, BadSignature
            It is not the key manager's, or not of this time.
        """
        if self._rsk is None:
            raise KeyManagerUnknown("no signing key of the key manager is proven yet")
        verify_public_key(
            untrusted.key,
            rsk=self._rsk,
            runtime_id=self._runtime_id,
            key_pair_id=transaction_key_id(self._runtime_id, chain_context, untrusted.epoch),
            epoch=untrusted.epoch,
            now_epoch=epoch,
        )
        return EpochKey(untrusted.epoch, untrusted.key.key)
