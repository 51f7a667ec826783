"""
Measurement: a name for the exact code and configuration of an enclave.

On hardware the CPU hashes the pages it loads. Here the launcher, which plays the CPU, hashes the
files it is about to run. Pure: whoever measures reads the files.
"""

from collections.abc import Mapping

from shared.crypto.hashes import sha256
from shared.encoding.cbor import encode
from shared.types.attestation import EnclaveIdentity

MR_SIGNER = sha256(b"qanat mock signer")
"""Everybody's MRSIGNER: nobody signs enclaves here, so it separates nothing but mock from real."""

LABEL = "qanat/measurement: MRENCLAVE (insecure mock)"


def measure(files: Mapping[str, bytes], config: bytes) -> EnclaveIdentity:
    """
    Compute the identity of an enclave.

    Parameters
    ----------
    files : `Mapping`
        Path, relative and with `/`, to SHA-256 of the content; order does not matter.
    config : `bytes`
        The encoded `EnclaveConfig`.

    Returns
    -------
    identity : `EnclaveIdentity`
        MRENCLAVE is SHA-256 of the canonical CBOR of label, sorted files and configuration.
    """
    manifest = encode([LABEL, [[path, files[path]] for path in sorted(files)], config])
    return EnclaveIdentity(mr_enclave=sha256(manifest), mr_signer=MR_SIGNER)
