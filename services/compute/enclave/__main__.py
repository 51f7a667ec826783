"""Start the compute enclave; only a launcher does, with the sockets that the runtime expects."""

import os
import time
from functools import partial

from services.compute.enclave.dispatcher import ComputeProgram
from services.compute.enclave.protocol import CONCURRENT, ComputeEnclaveApi
from shared.tee.runtime import run_enclave

if __name__ == "__main__":
    build = partial(ComputeProgram, stopwatch_ns=time.monotonic_ns)
    run_enclave(ComputeEnclaveApi, build, os.environ, concurrent=CONCURRENT)
