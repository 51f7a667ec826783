"""Every key of a worker, each derived from the app's by a name of its own; all replicas' alike."""

from collections.abc import Callable
from dataclasses import dataclass, field

from nacl.public import PrivateKey

from shared.crypto.hashes import kmac256
from shared.crypto.secret import SecretBytes

PREFIX = "qanat/data-market/1/"
NOISE_CONTEXT = b"qanat/data-market: noise of a job"
BLIND_CONTEXT = b"qanat/data-market: blind of a job"
Derive = Callable[[str, str], bytes]
"""By key id and kind, as an app daemon does."""


@dataclass(frozen=True, slots=True)
class WorkerKeys:
    """What each worker holds. By what an instance signs, the app's daemon keeps."""

    upload: PrivateKey = field(repr=False)
    """To which rows are sealed."""
    storage: bytes = field(repr=False)
    jobs: bytes = field(repr=False)

    @classmethod
    def derive(cls, derive: Derive) -> "WorkerKeys":
        """Derive the keys. Raises what `derive` does."""
        return cls(
            upload=PrivateKey(derive(f"{PREFIX}uploads", "raw-256")),
            storage=derive(f"{PREFIX}storage", "raw-256"),
            jobs=derive(f"{PREFIX}jobs", "raw-256"),
        )

    def noise_of(self, job: bytes) -> SecretBytes:
        """Give the key of a job's noise: equal on every worker, and after a crash."""
        return SecretBytes(kmac256(self.jobs, job, NOISE_CONTEXT))

    def blind_of(self, job: bytes) -> bytes:
        """Give what hides a job's amounts, 32 bytes; equal on every worker."""
        return kmac256(self.jobs, job, BLIND_CONTEXT)
