import os

from services.toy.enclave.program import ToyEnclaveApi, ToyProgram

from shared.tee.runtime import run_enclave

if __name__ == "__main__":
    run_enclave(
        ToyEnclaveApi,
        ToyProgram,
        os.environ,
        concurrent=frozenset({"wait_for_host", "panic_aside"}),
    )
