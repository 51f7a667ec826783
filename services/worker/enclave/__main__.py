"""Starts the enclave of an app; the launcher does, with the sockets that it inherits."""

import os
from pathlib import Path

from services.worker.enclave.app import App, directory_of_app
from services.worker.enclave.daemon import NEEDED_CALLS, Daemon, open_sockets
from services.worker.enclave.program import WorkerProgram
from services.worker.enclave.protocol import CONCURRENT, WorkerEnclaveApi
from services.worker.enclave.supervisor import fork_supervisor
from shared.tee.runtime import ENCLAVE_DIR, HOST_FD, PLATFORM_FD, EnclaveContext, run_enclave

APPD_PORT, DATA_ROOT = "QANAT_APPD_PORT", "QANAT_DATA_ROOT"
"""What the launcher tells an app's enclave besides; neither is believed about anything secret."""


def main() -> None:
    """Open sockets and fork while that is possible; then be an enclave."""
    directory = directory_of_app(Path(os.environ[ENCLAVE_DIR]))
    sockets = open_sockets(directory, int(os.environ[APPD_PORT]))
    inherited = [int(os.environ[name]) for name in (HOST_FD, PLATFORM_FD)]
    ends = fork_supervisor(
        directory,
        Path(os.environ[DATA_ROOT]),
        [*inherited, *(one.fileno() for one in sockets)],
    )

    def build(context: EnclaveContext) -> WorkerProgram:
        return WorkerProgram(context, App(directory, *ends), Daemon(sockets))

    run_enclave(WorkerEnclaveApi, build, os.environ, concurrent=CONCURRENT, keeps=NEEDED_CALLS)


if __name__ == "__main__":
    main()
