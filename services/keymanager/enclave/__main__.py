"""Starts the key manager's enclave; the launcher does, with the sockets that it inherits."""

import os

from services.keymanager.enclave.program import KeyManagerProgram
from services.keymanager.enclave.protocol import KeyManagerEnclaveApi
from shared.tee.runtime import run_enclave

CONCURRENT = frozenset({"call_session", "fetch_public_key", "fetch_ephemeral_public_key"})
"""Readers of the vault. All else changes it, in order."""

if __name__ == "__main__":
    run_enclave(KeyManagerEnclaveApi, KeyManagerProgram, os.environ, concurrent=CONCURRENT)
