"""
DCAP quotes: layout of SGX v3 and TDX v4, to mint and to read.

Numbers are little-endian. Nothing is verified here; see `shared.tee.attestation`. Source: Intel SGX
ECDSA QuoteLibReference (quote v3) and Intel TDX DCAP Quoting Library API (quote v4).
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

from shared.crypto.hashes import sha256, tuple_hash256
from shared.errors import Rejected
from shared.types.attestation import EnclaveIdentity

HEADER_BYTES = 48
SGX_REPORT_BYTES = 384
TD_REPORT_BYTES = 584
LENGTH_BYTES = 4

TEE_SGX = 0x00
TEE_TDX = 0x81
ECDSA_P256 = 2
"""Attestation key type."""
QE_AUTH_DATA_BYTES = 32
CERTIFICATION_PCK_CHAIN = 5
"""Certification data type: the PCK certificate chain, PEM."""
CERTIFICATION_QE_REPORT = 6
"""Certification data type of v4: the quoting enclave's report, with its own certification data."""
QE_VENDOR_ID = bytes.fromhex("939a7233f79c4ca9940a0db3957f0607")
"""Intel's quoting enclave; verifiers accept no other."""

SGX_FLAG_INITIALIZED = 0x01
SGX_FLAG_DEBUG = 0x02
SGX_FLAG_64_BIT = 0x04
TD_FLAG_DEBUG = 0x01
TD_FLAG_SEPT_VE_DISABLE = 1 << 28
"""The host cannot make the domain's pages fault into it; verifiers ask for this."""

TD_IDENTITY = b"oasis-core/tdx: TD enclave identity"
"""Source: oasis-core runtime/src/common/tdx @ f9f1fdc."""

_HEADER = struct.Struct("<HHIHH16s20s")
_SGX_REPORT = struct.Struct("<16sI28s16s32s32x32s96xHH60x64s")
_TD_REPORT = struct.Struct("<16s48s48s8s8s8s48s48s48s48s48s48s48s48s64s")

Sign = Callable[[bytes], bytes]
"""ECDSA P-256 over SHA-256 of the message: 64 bytes, r ‖ s."""


class MalformedQuote(Rejected, module="attestation", code=1):
    """The bytes are not a quote."""


class UnsupportedQuote(Rejected, module="attestation", code=2):
    """A quote, but not SGX v3 or TDX v4 with an ECDSA P-256 key."""


@dataclass(frozen=True, slots=True)
class SgxReport:
    """What an SGX enclave is and says."""

    cpu_svn: bytes
    attributes: bytes
    """16 bytes: flags and XFRM."""
    mr_enclave: bytes
    mr_signer: bytes
    isv_prod_id: int
    isv_svn: int
    report_data: bytes
    """64 bytes of the enclave's own choice."""

    @property
    def is_debug(self) -> bool:
        """Whether whoever runs the enclave may read its memory."""
        return bool(self.attributes[0] & SGX_FLAG_DEBUG)

    @property
    def identity(self) -> EnclaveIdentity:
        """Exact code of the enclave."""
        return EnclaveIdentity(self.mr_enclave, self.mr_signer)

    def encode(self) -> bytes:
        """384 bytes."""
        return _SGX_REPORT.pack(
            self.cpu_svn,
            0,
            bytes(28),
            self.attributes,
            self.mr_enclave,
            self.mr_signer,
            self.isv_prod_id,
            self.isv_svn,
            self.report_data,
        )

    @classmethod
    def decode(cls, untrusted: bytes) -> "SgxReport":
        """Read 384 bytes."""
        cpu_svn, _, _, attributes, enclave, signer, prod_id, svn, data = _SGX_REPORT.unpack(
            untrusted
        )
        return cls(cpu_svn, attributes, enclave, signer, prod_id, svn, data)


@dataclass(frozen=True, slots=True)
class TdReport:
    """What a TDX trust domain is and says."""

    attributes: bytes
    """8 bytes."""
    mr_td: bytes
    """48 bytes, as each of the four run-time registers."""
    registers: tuple[bytes, bytes, bytes, bytes]
    report_data: bytes

    @property
    def is_debug(self) -> bool:
        """Whether the host may read the domain's memory."""
        return bool(self.attributes[0] & TD_FLAG_DEBUG)

    @property
    def identity(self) -> EnclaveIdentity:
        """Identity of a trust domain as if it were an enclave. Source: as `TD_IDENTITY`."""
        return EnclaveIdentity(
            tuple_hash256(TD_IDENTITY, self.mr_td, *self.registers), mr_signer=bytes(32)
        )

    def encode(self) -> bytes:
        """584 bytes. What a mock module has no word on is zero."""
        return _TD_REPORT.pack(
            bytes(16),
            bytes(48),
            bytes(48),
            bytes(8),
            self.attributes,
            bytes(8),
            self.mr_td,
            bytes(48),
            bytes(48),
            bytes(48),
            *self.registers,
            self.report_data,
        )

    @classmethod
    def decode(cls, untrusted: bytes) -> "TdReport":
        """Read 584 bytes."""
        fields = _TD_REPORT.unpack(untrusted)
        return cls(
            attributes=fields[4],
            mr_td=fields[6],
            registers=(fields[10], fields[11], fields[12], fields[13]),
            report_data=fields[14],
        )


Report = SgxReport | TdReport


def parse_quote(untrusted: bytes) -> Report:
    """
    Read what a quote claims.

    Raises
    ------
    MalformedQuote
        Too short, or its lengths do not fit.
    UnsupportedQuote
        Another version, TEE, or key type.
    """
    if len(untrusted) < HEADER_BYTES:
        raise MalformedQuote(f"a quote has at least {HEADER_BYTES} bytes, not {len(untrusted)}")
    version, key_type, tee, *_ = _HEADER.unpack_from(untrusted)
    if (version, tee) not in ((3, TEE_SGX), (4, TEE_TDX)):
        raise UnsupportedQuote(f"version {version} for TEE {tee:#x}; want SGX v3 or TDX v4")
    if key_type != ECDSA_P256:
        raise UnsupportedQuote(f"attestation key type {key_type}; want ECDSA P-256")
    end = HEADER_BYTES + (SGX_REPORT_BYTES if tee == TEE_SGX else TD_REPORT_BYTES)
    if len(untrusted) < end + LENGTH_BYTES:
        raise MalformedQuote("the quote ends within its report")
    signature_bytes = int.from_bytes(untrusted[end : end + LENGTH_BYTES], "little")
    # Real platforms pad quotes with zeros; anything else after the signature is not a quote's.
    if len(untrusted) < end + LENGTH_BYTES + signature_bytes:
        raise MalformedQuote("the quote ends within its signature data")
    if any(untrusted[end + LENGTH_BYTES + signature_bytes :]):
        raise MalformedQuote("the quote is followed by other bytes")
    body = untrusted[HEADER_BYTES:end]
    return SgxReport.decode(body) if tee == TEE_SGX else TdReport.decode(body)


@dataclass(frozen=True, slots=True)
class QuotingKeys:
    """What a platform's quoting enclave signs with."""

    attestation_key: bytes
    """Public P-256 point of the quoting enclave, x ‖ y, 64 bytes."""
    sign_quote: Sign
    """By the attestation key."""
    sign_report: Sign
    """By the platform's certified key (PCK)."""
    pck_chain: bytes
    """Certificates of the PCK up to the root, PEM."""
    qe_report: SgxReport
    """The quoting enclave's own report; its report data is filled in here."""
    pce_svn: int


def mint_sgx_quote(report: SgxReport, keys: QuotingKeys) -> bytes:
    """Make an SGX v3 quote of a report, as a quoting enclave does."""
    header = _HEADER.pack(
        3, ECDSA_P256, TEE_SGX, keys.qe_report.isv_svn, keys.pce_svn, QE_VENDOR_ID, bytes(20)
    )
    signed = header + report.encode()
    return _with_length(signed, _signature(signed, keys) + _certification(keys))


def mint_td_quote(report: TdReport, keys: QuotingKeys) -> bytes:
    """Make a TDX v4 quote of a report; what certifies the key is one level deeper than in v3."""
    header = _HEADER.pack(4, ECDSA_P256, TEE_TDX, 0, 0, QE_VENDOR_ID, bytes(20))
    signed = header + report.encode()
    certification = _certification(keys)
    wrapped = struct.pack("<HI", CERTIFICATION_QE_REPORT, len(certification)) + certification
    return _with_length(signed, _signature(signed, keys) + wrapped)


def _with_length(signed: bytes, signature_data: bytes) -> bytes:
    return signed + struct.pack("<I", len(signature_data)) + signature_data


def _signature(signed: bytes, keys: QuotingKeys) -> bytes:
    return keys.sign_quote(signed) + keys.attestation_key


def _certification(keys: QuotingKeys) -> bytes:
    authentication = bytes(QE_AUTH_DATA_BYTES)
    qe_report = replace(
        keys.qe_report, report_data=sha256(keys.attestation_key + authentication) + bytes(32)
    ).encode()
    return (
        qe_report
        + keys.sign_report(qe_report)
        + struct.pack("<H", len(authentication))
        + authentication
        + struct.pack("<HI", CERTIFICATION_PCK_CHAIN, len(keys.pck_chain))
        + keys.pck_chain
    )
