"""
The fork server of a network's hosts.

It shuts itself in before it imports anything of theirs: it reaches what hosts reach, and no secret
of the mock CPU or of an enclave. Each host then shuts itself in further, as its node's own.
"""

import gc
import importlib
import json
import os
import socket
import sys
from pathlib import Path

from qanat.fork_server import serve
from qanat.launcher.host_process import leave_out_consoles, run_host
from qanat.launcher.wall import put_up_wall, surroundings

SERVICE = "QANAT_SERVICE"
"""Names to a new process the package that it runs."""
LOADED_LATER = (
    "dcap_qvl",
    "services.gateway.probe",
    "sqlalchemy.dialects.sqlite",
    "uvicorn.lifespan.off",
    "uvicorn.protocols.http.auto",
    "uvicorn.protocols.http.httptools_impl",
)
"""What services or their libraries load when they begin to serve: here, it is loaded once."""


def main(data: str, public: str, hosts: list[str], services: list[str]) -> None:
    """
    Load the services, and be each host that the launcher asks for.

    Parameters
    ----------
    data : `str`
        The data directory of the network.
    public : `str`
        Its part that all hosts read.
    hosts : `list`
        Its parts that belong to hosts. They exist already.
    services : `list`
        Packages that the hosts run.
    """
    around = surroundings(Path(data))
    put_up_wall(Path(data), writable=list(map(Path, hosts)), readable=Path(public), around=around)
    leave_out_consoles()
    # Nothing that is imported becomes garbage, and looking for some takes a tenth of the time.
    gc.disable()
    for service in services:
        importlib.import_module(f"{service}.__main__")
        # It runs under another name in each host.
        del sys.modules[f"{service}.__main__"]
    for name in LOADED_LATER:
        importlib.import_module(name)
    gc.enable()
    server = os.getpid()
    serve(socket.socket(fileno=0))
    os.environ["QANAT_PARENT_PID"] = str(server)
    run_host(os.environ.pop(SERVICE), around)


if __name__ == "__main__":
    main(*json.loads(sys.argv[1]))
