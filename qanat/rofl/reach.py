"""
Where instances of an app find the gateway, and where they are found.

Workers in containers see other addresses than the machine that the containers run on.
"""

from qanat.observe import Running
from shared.errors import Rejected

HOST = "127.0.0.1"


class NotPublished(Rejected, module="rofl_cli", code=14):
    """The network's containers publish no ports on which apps could be met."""


def gateway_inside(running: Running, gateway: str) -> str:
    """Give the URL by which apps reach the gateway of their ParaTime that is `gateway` here."""
    workers = running.network.worker
    if running.launcher_pid is not None or workers is None:
        return gateway
    found = running.network.find_paratime(workers.paratime).gateway
    return f"http://{found.name}:{found.http_port}"


def app_url(running: Running, worker: str, port: int) -> str:
    """
    Give the URL by which an instance is met that serves on a port of its worker.

    Raises
    ------
    NotPublished
        See the class; says what to put into the network file.
    """
    workers = running.network.worker
    if running.launcher_pid is None and workers is not None:
        if not workers.app_port:
            raise NotPublished(
                "the workers' containers publish no ports of apps: set `app_port` in [worker] of "
                "the network file, as networks/ai.toml does, and make the Compose file again"
            )
        port = workers.published_port(worker, port)
    return f"http://{HOST}:{port}"
