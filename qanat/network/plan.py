"""Which nodes run, and where each listens."""

from dataclasses import dataclass

from qanat.network.records import Network

DEFAULT_PORT_BASE = 8545
"""Port of the first gateway's HTTP, as of sapphire-localnet. Ports of a file are written for it."""
INTERNAL_PORTS_FROM = 55
"""Offset of the first internal port; 8545 + 55 = 8600 keeps clear of sapphire-localnet's ports."""
ENCLAVE_SERVICES = frozenset({"keymanager", "compute"})
"""Services whose nodes have an enclave for each runtime, from their start on."""
WORKER = "worker"
"""Service whose nodes get an enclave for each app that is deployed there."""


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node: what it is and where it listens."""

    name: str
    service: str
    host: str
    """Name or address by which other nodes reach it."""
    port: int
    """HTTP, and frames between services on connections that begin as an upgrade."""
    ws_port: int = 0
    """Only the gateway's."""
    runtimes: tuple[str, ...] = ()
    """Names of the ParaTimes, or of the key manager, that it serves."""
    package: str = ""
    """Package in `services` whose host runs, where it is not named as the service."""

    @property
    def host_module(self) -> str:
        """What the node's host process runs."""
        return f"services.{self.package or self.service}"

    @property
    def has_enclave(self) -> bool:
        """Say whether enclave processes belong to the node, one for each runtime."""
        return self.service in ENCLAVE_SERVICES

    @property
    def paratimes(self) -> tuple[str, ...]:
        """Names of the ParaTimes that the node belongs to."""
        return self.runtimes if self.service in ("compute", "gateway", WORKER) else ()

    @property
    def address(self) -> str:
        """`host:port` for peers."""
        return f"{self.host}:{self.port}"

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port that the node opens."""
        return tuple(port for port in (self.port, self.ws_port) if port)


def plan_nodes(
    network: Network, port_base: int = DEFAULT_PORT_BASE, *, by_name: bool = False
) -> tuple[NodePlan, ...]:
    """
    Say where every node listens.

    Parameters
    ----------
    network : `Network`
        The file.
    port_base : `int`
        Port of the first gateway's HTTP; all ports move with it.
    by_name : `bool`
        Nodes reach each other by their names, as containers do, and not on the loopback.
    """
    moved = port_base - DEFAULT_PORT_BASE
    next_port = port_base + INTERNAL_PORTS_FROM
    inner: list[tuple[str, str, tuple[str, ...]]]
    inner = [(name, "consensus", ()) for name in network.consensus.nodes]
    inner += [
        (name, "keymanager", (one.name,)) for one in network.key_manager for name in one.nodes
    ]
    inner += [(name, "compute", served) for name, served in network.compute_nodes().items()]
    if network.worker is not None:
        inner += [(name, WORKER, (network.worker.paratime,)) for name in network.worker.nodes]
    plans = []
    for name, service, runtimes in inner:
        wanted = network.find_override(name).port
        port = next_port if wanted is None else wanted + moved
        if wanted is None:
            next_port += 1
        host = name if by_name else "127.0.0.1"
        plans.append(NodePlan(name, service, host, port, runtimes=runtimes))
    for paratime in network.paratime:
        gateway = paratime.gateway
        plans.append(
            NodePlan(
                gateway.name,
                "gateway",
                gateway.name if by_name else "127.0.0.1",
                gateway.http_port + moved,
                gateway.ws_port + moved if gateway.ws_port else 0,
                (paratime.name,),
                "gateway" if paratime.is_evm else "runtime_gateway",
            )
        )
    return tuple(plans)
