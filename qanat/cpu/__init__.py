"""The mock hardware: certifies platforms, measures and runs enclaves, answers as their CPU."""

from qanat.cpu.enclave_process import EnclaveForks, EnclaveProcess, EnclaveUser, start_enclave
from qanat.cpu.measurement import NotMeasurable, code_root, measure_enclave
from qanat.cpu.pki import (
    TCB_VALIDITY_DAYS,
    NetworkPki,
    TcbDeclaration,
    certificate_serial,
    create_network_pki,
)
from qanat.cpu.platform_file import PlatformFile
from qanat.cpu.quoting import QuotingEnclave

__all__ = [
    "TCB_VALIDITY_DAYS",
    "EnclaveForks",
    "EnclaveProcess",
    "EnclaveUser",
    "NetworkPki",
    "NotMeasurable",
    "PlatformFile",
    "QuotingEnclave",
    "TcbDeclaration",
    "certificate_serial",
    "code_root",
    "create_network_pki",
    "measure_enclave",
    "start_enclave",
]
