"""
What a network is made of: a file in `networks/`, read and checked.

The process launcher and the Compose file start the same nodes from the same file. A `NodePlan` says
where one node listens; ports follow from one base so that several networks live side by side.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.encoding.record import MalformedRecord, from_wire
from shared.errors import Rejected

DEFAULT_PORT_BASE = 8545
"""Port of the gateway's HTTP, as of sapphire-localnet."""
INTERNAL_PORTS_FROM = 55
"""Offset of the first internal port; 8545 + 55 = 8600 keeps clear of sapphire-localnet's ports."""
SERVICES = ("consensus", "keymanager", "compute", "gateway")
ENCLAVE_SERVICES = frozenset({"keymanager", "compute"})


class BadNetworkFile(Rejected, module="network", code=1):
    """The file does not describe a network."""


@dataclass(frozen=True, slots=True)
class NodeCounts:
    """How many nodes of each service run."""

    consensus: int
    keymanager: int
    compute: int
    gateway: int


@dataclass(frozen=True, slots=True)
class ParaTime:
    """The confidential EVM of the network."""

    id: str
    """64 hex digits."""
    evm_chain_id: int
    confidential: bool = True
    workers: int = 3
    backup_workers: int = 3
    round_timeout_ms: int = 2000
    batch_flush_timeout_ms: int = 1000
    propose_batch_timeout_ms: int = 1000


@dataclass(frozen=True, slots=True)
class KeyManager:
    """Who keeps the keys."""

    id: str
    max_ephemeral_secret_age: int = 20
    master_secret_rotation_interval: int = 0


@dataclass(frozen=True, slots=True)
class Accounts:
    """Ethereum accounts that are funded at genesis."""

    mnemonic: str
    count: int
    amount: int
    """[whole tokens]"""


@dataclass(frozen=True, slots=True)
class Network:
    """A network file."""

    name: str
    chain_id: str
    epoch_interval_s: int
    nodes: NodeCounts
    paratime: ParaTime
    key_manager: KeyManager
    accounts: Accounts
    base_epoch: int = 2
    unsafe_mock_tee: bool = False
    """Consent to a TEE that protects nothing; without it no process starts."""
    dev_controls: bool = False


@dataclass(frozen=True, slots=True)
class NodePlan:
    """One node: what it is and where it listens."""

    name: str
    service: str
    host: str
    """Name or address by which other nodes reach it."""
    frame_port: int
    """Frames between services; 0 for the gateway, which serves none."""
    http_port: int
    ws_port: int = 0
    """Only the gateway's."""

    @property
    def has_enclave(self) -> bool:
        """Say whether an enclave process belongs to the node."""
        return self.service in ENCLAVE_SERVICES

    @property
    def frame_address(self) -> str:
        """`host:port` for peers."""
        return f"{self.host}:{self.frame_port}"

    @property
    def ports(self) -> tuple[int, ...]:
        """Every port that the node opens."""
        return tuple(port for port in (self.frame_port, self.http_port, self.ws_port) if port)


def load_network(path: Path) -> Network:
    """Read a network file, or raise `BadNetworkFile` that says what is wrong."""
    try:
        untrusted: dict[str, Any] = tomllib.loads(path.read_text())
        network: Network = from_wire(Network, untrusted)
    except FileNotFoundError:
        raise BadNetworkFile(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadNetworkFile(f"{path}: {error}") from error
    except MalformedRecord as error:
        raise BadNetworkFile(f"{path}: {error.message}") from error
    _check(network, path)
    return network


def _check(network: Network, path: Path) -> None:
    counts, paratime = network.nodes, network.paratime
    faults = []
    if counts.consensus != 1:
        faults.append("nodes.consensus must be 1: the solo engine has one validator")
    if counts.gateway != 1:
        faults.append("nodes.gateway must be 1")
    if counts.keymanager < 1:
        faults.append("nodes.keymanager must be at least 1")
    if not 1 <= paratime.workers <= counts.compute:
        faults.append(f"paratime.workers must be 1 to nodes.compute ({counts.compute})")
    if not 0 <= paratime.backup_workers <= counts.compute:
        faults.append(f"paratime.backup_workers must be 0 to nodes.compute ({counts.compute})")
    for name, value in (("paratime.id", paratime.id), ("key_manager.id", network.key_manager.id)):
        if len(value) != 64 or not set(value.lower()) <= set("0123456789abcdef"):
            faults.append(f"{name} must be 64 hex digits")
    if faults:
        raise BadNetworkFile(f"{path}: {'; '.join(faults)}")


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
        Port of the gateway's HTTP; everything else follows.
    by_name : `bool`
        Nodes reach each other by their names, as containers do, and not on the loopback.
    """
    plans = []
    port = port_base + INTERNAL_PORTS_FROM
    for service in ("consensus", "keymanager", "compute"):
        for index in range(getattr(network.nodes, service)):
            name = f"{service}-{index}"
            plans.append(NodePlan(name, service, name if by_name else "127.0.0.1", port, port + 1))
            port += 2
    host = "gateway" if by_name else "127.0.0.1"
    plans.append(NodePlan("gateway", "gateway", host, 0, port_base, port_base + 1))
    return tuple(plans)
