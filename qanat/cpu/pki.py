"""
The mock Intel of one network: certificates platforms, and publishes how good they are.

Everything is deterministic for a given `Entropy`. Dates are far apart because chain time may be
moved: see ADR 0004.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from qanat.cpu.certificates import (
    BACKDATED,
    SERIAL_BYTES,
    Issuer,
    issue_certificate,
    issue_revocation_list,
    mock_name,
    pem_chain,
)
from qanat.cpu.hardware import (
    CPU_SVN,
    FMSPC,
    PCE_SVN,
    QE_ATTRIBUTES,
    QE_ISV_PROD_ID,
    QE_ISV_SVN,
    QE_MR_SIGNER,
)
from qanat.cpu.keys import draw_scalar, private_key, sign_raw
from qanat.cpu.platform_file import PlatformFile
from qanat.cpu.sgx_extension import SGX_EXTENSION_OID, encode_sgx_extension
from shared.crypto.entropy import Entropy, SeededEntropy
from shared.crypto.hashes import kmac256
from shared.encoding.record import Bytes32, decode_record, encode_record
from shared.types.attestation import Collateral

VALIDITY_YEARS = 100
"""Of certificates, revocation lists and TCB data: longer than anybody moves chain time."""
TCB_VALIDITY_DAYS = 365 * VALIDITY_YEARS
"""What a network's quote policy must grant mock TCB data, which are issued once (ADR 0004)."""

TeeKind = Literal["SGX", "TDX"]
"""Each kind has TCB data and a quoting enclave of its own; the platforms are the same."""


@dataclass(frozen=True, slots=True)
class TcbDeclaration:
    """What the mock Intel says about the network's platforms; change it to break a TEE."""

    status: str = "UpToDate"
    advisory_ids: tuple[str, ...] = ()
    required_svn: int = 2
    """First eight CPU security versions a platform needs to have any status; they have 2."""
    qe_status: str = "UpToDate"
    evaluation_data_number: int = 17
    revoked: tuple[int, ...] = ()
    """Serial numbers of revoked platform certificates; see `certificate_serial`."""


@dataclass(frozen=True, slots=True)
class NetworkPki:
    """Keys and certificates of the mock Intel. Belongs to whoever makes the network."""

    root_key: Bytes32 = field(repr=False)
    processor_key: Bytes32 = field(repr=False)
    signing_key: Bytes32 = field(repr=False)
    root_ca: bytes
    """The root that genesis pins; certificates are DER."""
    processor_ca: bytes
    tcb_signing: bytes
    platform_seed: Bytes32 = field(repr=False)
    created_s: int
    """Consensus time at which the network begins [Unix s]."""

    def create_platform(self, name: str, tee: TeeKind = "SGX") -> PlatformFile:
        """Make the mock CPU of a node, for one kind of TEE; the same name gives the same CPU."""
        entropy = SeededEntropy(
            kmac256(self.platform_seed, name.encode(), b"qanat/cpu: platform (insecure mock)")
        )
        scalar = draw_scalar(entropy, "pck key")
        platform_id = entropy.draw("ppid", 16)
        extension = encode_sgx_extension(
            ppid=platform_id, cpu_svn=CPU_SVN, pce_svn=PCE_SVN, fmspc=FMSPC
        )
        begins, ends = _period(self.created_s)
        certificate = issue_certificate(
            mock_name("SGX PCK Certificate"),
            private_key(scalar).public_key(),
            _issuer(self.processor_ca, self.processor_key),
            serial=entropy.draw("pck serial", SERIAL_BYTES),
            begins=begins,
            ends=ends,
            is_ca=False,
            extensions=[
                x509.UnrecognizedExtension(x509.ObjectIdentifier(SGX_EXTENSION_OID), extension)
            ],
        )
        return PlatformFile(
            name=name,
            platform_id=platform_id,
            secret=entropy.draw("platform secret", 32),
            pck_key=scalar,
            pck_chain=pem_chain(certificate, _load(self.processor_ca), _load(self.root_ca)),
            cpu_svn=CPU_SVN,
            pce_svn=PCE_SVN,
            collateral=self.issue_collateral(self.created_s, tee=tee),
        )

    def issue_collateral(
        self,
        now_s: int,
        tcb: TcbDeclaration | None = None,
        *,
        valid_days: int | None = None,
        tee: TeeKind = "SGX",
    ) -> Collateral:
        """Publish TCB data of a kind of TEE, and revocation lists, as of a time [Unix s]."""
        tcb = tcb or TcbDeclaration()
        begins, ends = _period(now_s)
        if valid_days is not None:
            ends = datetime.fromtimestamp(now_s, UTC) + timedelta(days=valid_days)
        info = json.dumps(_tcb_info(tcb, begins, ends, tee), separators=(",", ":"))
        identity = json.dumps(_qe_identity(tcb, begins, ends, tee), separators=(",", ":"))
        signing_key = private_key(self.signing_key)
        root, processor = _load(self.root_ca), _load(self.processor_ca)
        signing_chain = pem_chain(_load(self.tcb_signing), root)
        return Collateral(
            pck_crl_issuer_chain=pem_chain(processor, root),
            root_ca_crl=issue_revocation_list(
                _issuer(self.root_ca, self.root_key), (), number=1, begins=begins, ends=ends
            ),
            pck_crl=issue_revocation_list(
                _issuer(self.processor_ca, self.processor_key),
                tcb.revoked,
                number=1 + len(tcb.revoked),
                begins=begins,
                ends=ends,
            ),
            tcb_info_issuer_chain=signing_chain,
            tcb_info=info,
            tcb_info_signature=sign_raw(signing_key, info.encode()),
            qe_identity_issuer_chain=signing_chain,
            qe_identity=identity,
            qe_identity_signature=sign_raw(signing_key, identity.encode()),
        )

    def to_bytes(self) -> bytes:
        """Content of a file that holds it; keep it private."""
        return encode_record(self)

    @classmethod
    def from_bytes(cls, content: bytes) -> "NetworkPki":
        """Read the file."""
        return decode_record(cls, content)


def create_network_pki(entropy: Entropy, time_ns: int) -> NetworkPki:
    """Make the mock Intel of a network that begins at a time [ns]."""
    created_s = time_ns // 1_000_000_000
    begins, ends = _period(created_s)
    root_key, processor_key, signing_key = (
        draw_scalar(entropy, f"mock pki {label} key") for label in ("root", "processor", "signing")
    )
    root_issuer = Issuer(mock_name("SGX Root CA"), private_key(root_key))

    def under_root(common_name: str, scalar: bytes, *, is_ca: bool) -> bytes:
        certificate = issue_certificate(
            mock_name(common_name),
            private_key(scalar).public_key(),
            root_issuer,
            serial=entropy.draw("mock pki serial", SERIAL_BYTES),
            begins=begins,
            ends=ends,
            is_ca=is_ca,
        )
        return certificate.public_bytes(Encoding.DER)

    return NetworkPki(
        root_key=root_key,
        processor_key=processor_key,
        signing_key=signing_key,
        root_ca=under_root("SGX Root CA", root_key, is_ca=True),
        processor_ca=under_root("SGX PCK Processor CA", processor_key, is_ca=True),
        tcb_signing=under_root("SGX TCB Signing", signing_key, is_ca=False),
        platform_seed=entropy.draw("mock pki platform seed", 32),
        created_s=created_s,
    )


def certificate_serial(platform: PlatformFile) -> int:
    """Serial number of a platform's certificate, to revoke it by."""
    return x509.load_pem_x509_certificate(platform.pck_chain.encode()).serial_number


def _period(now_s: int) -> tuple[datetime, datetime]:
    now = datetime.fromtimestamp(now_s, UTC)
    return now - BACKDATED, now + timedelta(days=365 * VALIDITY_YEARS)


def _load(der: bytes) -> x509.Certificate:
    return x509.load_der_x509_certificate(der)


def _issuer(der: bytes, scalar: bytes) -> Issuer:
    return Issuer(_load(der).subject, private_key(scalar))


def _iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def _tcb_info(
    tcb: TcbDeclaration, begins: datetime, ends: datetime, tee: TeeKind
) -> dict[str, object]:
    def components(svns: Sequence[int]) -> list[dict[str, int]]:
        return [{"svn": svn} for svn in svns]

    versions: dict[str, object] = {
        "sgxtcbcomponents": components([tcb.required_svn] * 8 + [0] * 8),
        "pcesvn": PCE_SVN,
    }
    module: dict[str, object] = {}
    if tee == "TDX":
        versions["tdxtcbcomponents"] = components([0] * 16)
        module["tdxModule"] = {
            "mrsigner": "00" * 48,
            "attributes": "00" * 8,
            "attributesMask": "FF" * 8,
        }
    level = {
        "tcb": versions,
        "tcbDate": _iso(begins),
        "tcbStatus": tcb.status,
        "advisoryIDs": list(tcb.advisory_ids),
    }
    return {
        "id": tee,
        "version": 3,
        "issueDate": _iso(begins),
        "nextUpdate": _iso(ends),
        "fmspc": FMSPC.hex().upper(),
        "pceId": "0000",
        "tcbType": 0,
        "tcbEvaluationDataNumber": tcb.evaluation_data_number,
        "tcbLevels": [level],
    } | module


def _qe_identity(
    tcb: TcbDeclaration, begins: datetime, ends: datetime, tee: TeeKind
) -> dict[str, object]:
    return {
        "id": "QE" if tee == "SGX" else "TD_QE",
        "version": 2,
        "issueDate": _iso(begins),
        "nextUpdate": _iso(ends),
        "tcbEvaluationDataNumber": tcb.evaluation_data_number,
        "miscselect": "00000000",
        "miscselectMask": "FFFFFFFF",
        "attributes": QE_ATTRIBUTES.hex().upper(),
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": QE_MR_SIGNER.hex().upper(),
        "isvprodid": QE_ISV_PROD_ID,
        "tcbLevels": [
            {
                "tcb": {"isvsvn": QE_ISV_SVN},
                "tcbDate": _iso(begins),
                "tcbStatus": tcb.qe_status,
            }
        ],
    }
