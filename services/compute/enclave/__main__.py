"""Start the compute enclave; only a launcher does, with the sockets that the runtime expects."""

import os

from services.compute.enclave.dispatcher import ComputeProgram
from services.compute.enclave.protocol import CONCURRENT, ComputeEnclaveApi
from shared.tee.runtime import run_enclave

if __name__ == "__main__":
    run_enclave(ComputeEnclaveApi, ComputeProgram, os.environ, concurrent=CONCURRENT)
