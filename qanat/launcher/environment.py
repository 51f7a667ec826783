"""The environment in which a node's host process runs."""

import os
from dataclasses import dataclass

from qanat.launcher.hosts import INHERITED, is_of_tracing
from qanat.layout import DataLayout
from qanat.log_files import LOG_MIB
from qanat.network import WORKER, Network, NodePlan
from qanat.provision.data_directory import node_seed
from shared.kit.instance_socket import MAX_INSTANCES


@dataclass(frozen=True, slots=True)
class RunOptions:
    """What holds for all processes of one run."""

    log_level: str = "info"
    seed: bytes | None = None
    """Makes chance repeatable; None draws it from the system."""
    listen_host: str = "127.0.0.1"
    database_url: str | None = None
    """Of the gateway's index; None is SQLite in its data directory."""
    logs_to_files: bool = True
    """One log file for each process; False, in a container, leaves them the launcher's output."""
    log_mib: float = LOG_MIB
    """Size from which such a file is rotated [MiB]; 0 lets it grow."""
    require_encryption: tuple[str, ...] = ()
    """Contracts of confidential EVMs that are to be called encrypted only: addresses, or `all`."""
    dev_control_peers: str = "loopback"
    """From where dev controls may be used without the token; see `GatewaySettings`."""
    profile: str | None = None
    """How gateways answer who names no profile; None as the network file says."""
    client_version: str | None = None
    """What `web3_clientVersion` says; None as the network file says."""


def host_environment(
    network: Network,
    plans: tuple[NodePlan, ...],
    plan: NodePlan,
    layout: DataLayout,
    options: RunOptions,
) -> dict[str, str]:
    """Give the variables of one host; `ENCLAVE_FD` is added when its enclaves have started."""
    consensus = next(other for other in plans if other.service == "consensus")
    environment = {name: os.environ[name] for name in INHERITED if name in os.environ}
    environment |= {name: text for name, text in os.environ.items() if is_of_tracing(name)}
    environment |= {
        "PYTHONUNBUFFERED": "1",
        "QANAT_UNSAFE_MOCK_TEE": "1" if network.unsafe_mock_tee else "0",
        "QANAT_UNSAFE_DEV_CONTROLS": "1" if network.dev_controls else "0",
        "QANAT_NODE_NAME": plan.name,
        "QANAT_DATA_DIR": str(layout.host(plan.name)),
        "QANAT_DATA_ROOT": str(layout.root.resolve()),
        "QANAT_GENESIS": str(layout.genesis),
        "QANAT_LISTEN_HOST": options.listen_host,
        "QANAT_CONSENSUS": consensus.address,
        "QANAT_LOG_LEVEL": network.find_override(plan.name).log_level or options.log_level,
        "QANAT_PARENT_PID": str(os.getpid()),
    }
    if plan.service != "gateway":
        environment |= {"QANAT_PORT": str(plan.port), "QANAT_ADVERTISE": plan.address}
    if plan.service == "consensus":
        environment["QANAT_KEEP_HEIGHTS"] = str(network.consensus.keep_heights)
    if plan.service == WORKER:
        paratime = network.find_paratime(plan.runtimes[0])
        gateway = next(other for other in plans if other.name == paratime.gateway.name)
        environment |= {
            "QANAT_GATEWAY": gateway.address,
            "QANAT_RUNTIME_ID": paratime.id,
            "QANAT_APPD_PORTS": str(_appd_ports(network, plans, plan)),
        }
    if plan.service == "compute":
        environment["QANAT_NONCE_WINDOWS"] = ",".join(
            f"{paratime.id}={paratime.nonce_window}"
            for paratime in map(network.find_paratime, plan.paratimes)
        )
    if plan.service == "gateway":
        environment |= _of_gateway(network, plans, plan)
        paratime = network.find_paratime(plan.runtimes[0])
        if options.require_encryption and paratime.is_evm and paratime.confidential:
            environment["QANAT_REQUIRE_ENCRYPTION"] = ",".join(options.require_encryption)
        environment["QANAT_DEV_CONTROL_PEERS"] = options.dev_control_peers
        if options.profile is not None:
            environment["QANAT_PROFILE"] = options.profile
        if options.client_version is not None:
            environment["QANAT_CLIENT_VERSION"] = options.client_version
        if options.database_url is not None:
            environment["QANAT_DATABASE_URL"] = options.database_url
    if options.seed is not None:
        environment["QANAT_SEED"] = node_seed(options.seed, plan.name).hex()
    return environment


def _appd_ports(network: Network, plans: tuple[NodePlan, ...], plan: NodePlan) -> int:
    workers = network.worker
    if workers is None or not workers.appd_port:
        return 0
    # They move with all ports of the network.
    paratime = network.find_paratime(workers.paratime)
    gateway = next(other for other in plans if other.name == paratime.gateway.name)
    moved = gateway.port - paratime.gateway.http_port
    return workers.appd_port + moved + MAX_INSTANCES * workers.nodes.index(plan.name)


def enclave_seed(options: RunOptions) -> str | None:
    """
    Give the seed of the enclaves' chance in a network that replays; None otherwise.

    It is no host's: from that one the host could compute the enclave's keys. Each CPU derives
    another from it for each start of an enclave.
    """
    return None if options.seed is None else node_seed(options.seed, "enclaves").hex()


def _of_gateway(network: Network, plans: tuple[NodePlan, ...], plan: NodePlan) -> dict[str, str]:
    paratime = network.find_paratime(plan.runtimes[0])
    served = [
        other.address
        for other in plans
        if other.service == "compute" and paratime.name in other.runtimes
    ]
    environment = {
        "QANAT_HTTP_PORT": str(plan.port),
        "QANAT_RUNTIME_ID": paratime.id,
        "QANAT_COMPUTE": ",".join(served),
        "QANAT_ANSWER": paratime.gateway.answer,
        "QANAT_PROFILE": paratime.gateway.profile,
        "QANAT_CLIENT_VERSION": paratime.gateway.client_version,
        "QANAT_CONFIDENTIAL": "1" if paratime.confidential else "0",
    }
    if paratime.evm_chain_id is not None:
        environment["QANAT_WS_PORT"] = str(plan.ws_port)
        environment["QANAT_CHAIN_ID"] = str(paratime.evm_chain_id)
    return environment
