"""A mock CPU at rest: what one machine's hardware would hold in fuses."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from shared.encoding.record import Bytes32, decode_record, encode_record
from shared.types.attestation import Collateral


@dataclass(frozen=True, slots=True)
class PlatformFile:
    """
    Secrets and certificates of one platform.

    The launcher reads the file and the host never does: whoever has it can forge the platform's
    quotes and open what was sealed on it. That is the mock's weak place, and it is one file.
    """

    name: str
    platform_id: bytes
    """PPID, 16 bytes."""
    secret: Bytes32 = field(repr=False)
    """Root of the seal keys."""
    pck_key: Bytes32 = field(repr=False)
    """Certified P-256 key, big-endian."""
    pck_chain: str
    """Certificate of that key up to the root, PEM."""
    cpu_svn: bytes
    """16 security version numbers."""
    pce_svn: int
    collateral: Collateral
    """The newest that the mock Intel has published."""
    sealed_before: dict[Bytes32, Bytes32] = field(default_factory=dict)
    """MRENCLAVE of code that goes on for other code, by it: whose seal keys it gets (ADR 0052)."""

    def with_collateral(self, collateral: Collateral) -> "PlatformFile":
        """Take newer collateral, as a machine fetches it from Intel."""
        return replace(self, collateral=collateral)

    def seals_as(self, mr_enclave: bytes) -> bytes:
        """Give the measurement that seal keys of an enclave are derived from."""
        return self.sealed_before.get(mr_enclave, mr_enclave)

    def with_successors(self, successors: Mapping[bytes, bytes]) -> "PlatformFile":
        """
        Let code open what other code sealed here; the owner of the machine decides it.

        `successors` is the new MRENCLAVE by the old one; what was sealed before the old one, and
        went over to it, goes on to the new one.
        """
        added = {after: self.seals_as(before) for before, after in successors.items()}
        return replace(self, sealed_before=self.sealed_before | added)

    def to_bytes(self) -> bytes:
        """Content of the file; keep it private."""
        return encode_record(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> "PlatformFile":
        """Read the file."""
        return decode_record(cls, content)
