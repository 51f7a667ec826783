"""What all mock CPUs of a network have in common: family, security versions, quoting enclave."""

from shared.crypto.hashes import sha256

FMSPC = bytes.fromhex("00D06F00DE01")
CPU_SVN = bytes([2] * 8 + [0] * 8)
PCE_SVN = 11
QE_ISV_SVN = 8
QE_ISV_PROD_ID = 1
QE_ATTRIBUTES = bytes([0x11] + [0] * 15)
"""Initialized, with the provisioning key, as Intel's quoting enclave."""
QE_MR_SIGNER = sha256(b"qanat mock quoting enclave signer")
