"""The mock quoting enclave of one platform."""

from functools import cached_property

from qanat.cpu.hardware import QE_ATTRIBUTES, QE_ISV_PROD_ID, QE_ISV_SVN, QE_MR_SIGNER
from qanat.cpu.keys import CURVE_ORDER, SCALAR_BYTES, private_key, public_point, sign_raw
from qanat.cpu.platform_file import PlatformFile
from shared.crypto.hashes import kmac256, sha256
from shared.tee.quote import (
    SGX_FLAG_64_BIT,
    SGX_FLAG_DEBUG,
    SGX_FLAG_INITIALIZED,
    QuotingKeys,
    SgxReport,
    TdReport,
    mint_sgx_quote,
    mint_td_quote,
)
from shared.types.attestation import EnclaveIdentity

XFRM_LEGACY = bytes([3] + [0] * 7)
"""Processor state that enclaves may use: x87 and SSE."""


class QuotingEnclave:
    """Signs reports of the enclaves of its platform."""

    def __init__(self, platform: PlatformFile) -> None:
        self._platform = platform

    @cached_property
    def _keys(self) -> QuotingKeys:
        platform = self._platform
        drawn = kmac256(platform.secret, b"", b"qanat/cpu: attestation key (insecure mock)", 48)
        scalar = int.from_bytes(drawn, "big") % (CURVE_ORDER - 1) + 1
        attestation_key = private_key(scalar.to_bytes(SCALAR_BYTES, "big"))
        pck_key = private_key(platform.pck_key)
        return QuotingKeys(
            attestation_key=public_point(attestation_key),
            sign_quote=lambda message: sign_raw(attestation_key, message),
            sign_report=lambda message: sign_raw(pck_key, message),
            pck_chain=platform.pck_chain.encode(),
            qe_report=SgxReport(
                cpu_svn=platform.cpu_svn,
                attributes=QE_ATTRIBUTES,
                mr_enclave=sha256(b"qanat mock quoting enclave"),
                mr_signer=QE_MR_SIGNER,
                isv_prod_id=QE_ISV_PROD_ID,
                isv_svn=QE_ISV_SVN,
                report_data=bytes(64),
            ),
            pce_svn=platform.pce_svn,
        )

    def quote(
        self, identity: EnclaveIdentity, report_data: bytes, *, is_debug: bool = False
    ) -> bytes:
        """Quote an enclave that said 64 bytes. `is_debug` marks one whose memory is open."""
        flags = SGX_FLAG_INITIALIZED | SGX_FLAG_64_BIT | (SGX_FLAG_DEBUG if is_debug else 0)
        report = SgxReport(
            cpu_svn=self._platform.cpu_svn,
            attributes=bytes([flags] + [0] * 7) + XFRM_LEGACY,
            mr_enclave=identity.mr_enclave,
            mr_signer=identity.mr_signer,
            isv_prod_id=0,
            isv_svn=1,
            report_data=report_data,
        )
        return mint_sgx_quote(report, self._keys)

    def quote_domain(self, report: TdReport) -> bytes:
        """Quote a trust domain, with its measurement and run-time registers."""
        return mint_td_quote(report, self._keys)
