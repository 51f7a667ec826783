"""A worker's enclave as a trust domain: what its quotes say where an SGX enclave has MRENCLAVE."""

import hashlib

from shared.tee.quote import TD_FLAG_SEPT_VE_DISABLE, TdReport
from shared.types.attestation import EnclaveIdentity

REPORT_BYTES = 64
REGISTER_BYTES = 48
FRESH_REGISTERS = (bytes(REGISTER_BYTES),) * 4
"""Run-time registers of a domain in which nothing has been measured since its start."""


def domain_report(
    measured: EnclaveIdentity,
    report_data: bytes = bytes(REPORT_BYTES),
    registers: tuple[bytes, bytes, bytes, bytes] = FRESH_REGISTERS,
) -> TdReport:
    """
    Give the report of the domain that runs what was measured.

    Its `identity` is what policies of apps list; `report_data` has 64 bytes, each register 48.
    """
    return TdReport(
        attributes=TD_FLAG_SEPT_VE_DISABLE.to_bytes(8, "little"),
        mr_td=hashlib.sha384(b"qanat mock domain" + measured.mr_enclave).digest(),
        registers=registers,
        report_data=report_data,
    )
