"""
Ephemeral secrets: one for each epoch, in memory only, the newest twenty.

They are never sealed. What was encrypted to an epoch's key cannot be opened once every key manager
has forgotten the epoch: that is the forward secrecy of calldata, and its price is that a restart of
all key managers at once loses the secrets of the epochs so far.
"""

from dataclasses import dataclass

from services.keymanager.enclave.derivation import checksum_ephemeral_secret
from shared.crypto.secret import SecretBytes
from shared.errors import Rejected
from shared.types.key_requests import EphemeralSecretMissing, EpochOutOfReach

KEPT_EPOCHS = 20
"""Source: oasis-core keymanager/src/crypto/kdf.rs @ f9f1fdc, EPHEMERAL_SECRET_CACHE_SIZE."""


class EphemeralSecretDisagrees(Rejected, module="keys", code=21):
    """The secret is not the one whose checksum was published."""


@dataclass(frozen=True, slots=True)
class EphemeralSecret:
    """The secret of one epoch."""

    secret: SecretBytes
    checksum: bytes


class EphemeralSecrets:
    """The secrets at hand, by epoch."""

    def __init__(self, runtime_id: bytes) -> None:
        self._runtime_id = runtime_id
        self._by_epoch: dict[int, EphemeralSecret] = {}

    def epochs(self) -> tuple[int, ...]:
        """Epochs whose secrets are held, in order."""
        return tuple(sorted(self._by_epoch))

    def get(self, epoch: int) -> EphemeralSecret:
        """Give the secret of an epoch, or raise `EphemeralSecretMissing`."""
        held = self._by_epoch.get(epoch)
        if held is None:
            raise EphemeralSecretMissing(f"no ephemeral secret of epoch {epoch} on this node")
        return held

    def holds(self, epoch: int, checksum: bytes) -> bool:
        """Say whether exactly this secret is held."""
        held = self._by_epoch.get(epoch)
        return held is not None and held.checksum == checksum

    def add(self, epoch: int, secret: SecretBytes, checksum: bytes) -> None:
        """
        Keep a secret, and forget the oldest beyond `KEPT_EPOCHS`.

        A secret that consensus published replaces one of the same epoch: the chain was rewound and
        went another way.

        Raises
        ------
        EphemeralSecretDisagrees
            It is not the secret with this checksum.
        """
        if checksum_ephemeral_secret(secret, self._runtime_id, epoch) != checksum:
            raise EphemeralSecretDisagrees(f"the secret of epoch {epoch} has another checksum")
        self._by_epoch[epoch] = EphemeralSecret(secret, checksum)
        while len(self._by_epoch) > KEPT_EPOCHS:
            del self._by_epoch[min(self._by_epoch)]

    def forget_after(self, epoch: int) -> None:
        """Forget the secrets of later epochs: the chain was rewound, and gets other ones."""
        for void in [held for held in self._by_epoch if held > epoch]:
            del self._by_epoch[void]


def verify_epoch_in_reach(epoch: int, *, now_epoch: int, max_age: int) -> None:
    """
    Verify that keys of an epoch may be had.

    Raises
    ------
    EpochOutOfReach
        It is more than `max_age` old, for good.
    EphemeralSecretMissing
        It is further ahead than the next one, as far as this node has followed the chain.
    """
    if epoch < now_epoch - max_age:
        raise EpochOutOfReach(f"epoch {epoch} is more than {max_age} epochs before {now_epoch}")
    if epoch > now_epoch + 1:
        raise EphemeralSecretMissing(f"epoch {epoch} is far ahead of {now_epoch} on this node")
