"""
The first part of `qanat up`: what is asked for, whether it can be, and the hosts' fork server.

It loads nothing that takes long, so that what the hosts need is loaded beside what the launcher
needs (`qanat/start.py`).
"""

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from qanat.banner import GatewayLine, render_banner
from qanat.fork_spawn import ForkServer
from qanat.funding import Funding, choose_funding
from qanat.launcher.hosts import load_hosts
from qanat.launcher.ports import describe_taken, taken_ports
from qanat.launcher.state import AlreadyRunning, load_running_state
from qanat.layout import DataLayout
from qanat.log_files import LOG_MIB
from qanat.network import Network, NodePlan, load_network, plan_nodes, with_genesis, with_profile
from qanat.provision.removal import remove_data, verify_is_new, verify_time_step
from shared.errors import Rejected
from shared.kit.settings import require_mock_tee_consent


class PortTaken(Rejected, module="launcher", code=5):
    """Another program listens on a port that a node needs."""


@dataclass(frozen=True, slots=True)
class UpOptions:
    """What the person asked for."""

    network_file: Path
    layout: DataLayout
    port_base: int
    to: str | None
    count: int | None
    amount: str | None
    seed: bytes | None
    database_url: str | None
    listen_host: str
    log_level: str
    timeout_s: float
    wipe: bool
    ready_file: Path | None = None
    require_encryption: tuple[str, ...] = ()
    """Contracts that are to be called encrypted only; see `docs/sight.md`."""
    profile: str | None = None
    client_version: str | None = None
    """Of gateways; see `RunOptions`."""
    block_time_step_s: int | None = None
    """Of a new network; see `Network`."""
    genesis: Path | None = None
    """Of a new network's only EVM; see `ParaTime`."""
    log_mib: float = LOG_MIB
    """See `RunOptions`."""

    @property
    def changes_what_runs(self) -> bool:
        """Say whether a network that runs already would have to be started again."""
        asked = (self.require_encryption, self.profile, self.client_version, self.block_time_step_s)
        return any(asked) or self.genesis is not None


@dataclass(frozen=True, slots=True)
class Beginning:
    """A network that can be started; its hosts are being loaded."""

    network: Network
    funding: Funding
    plans: tuple[NodePlan, ...]
    hosts: ForkServer
    began_s: float
    """On the monotonic clock [s]."""


def begin(options: UpOptions, *, foreground: bool, out: Console) -> Beginning | None:
    """
    Check what can be checked, and begin; None where the network runs already.

    Raises
    ------
    AlreadyRunning, PortTaken, BadSettings, BadNetworkFile, OtherNetwork
        See each class.
    """
    began_s = time.monotonic()
    network = load_network(options.network_file)
    if options.block_time_step_s is not None:
        if not options.wipe:
            verify_time_step(options.layout, options.block_time_step_s)
        network = replace(network, block_time_step_s=options.block_time_step_s)
    if options.profile is not None:
        network = with_profile(network, options.profile)
    if options.genesis is not None:
        if not options.wipe:
            verify_is_new(options.layout)
        network = with_genesis(network, options.genesis)
    consent = "1" if network.unsafe_mock_tee else "0"
    require_mock_tee_consent({"QANAT_UNSAFE_MOCK_TEE": consent} | dict(os.environ))
    funding = choose_funding(network, to=options.to, count=options.count, amount=options.amount)
    state = load_running_state(options.layout)
    if state is not None:
        if foreground or options.wipe or options.changes_what_runs:
            raise AlreadyRunning(f"a network already runs on {options.layout.root}: `qanat down`")
        out.print(describe(network, funding, plan_nodes(network, state.port_base), None))
        return None
    if options.wipe:
        remove_data(options.layout.root)
    plans = plan_nodes(network, options.port_base)
    taken = taken_ports(plans, options.listen_host)
    if taken:
        listed = describe_taken(taken)
        raise PortTaken(f"ports taken by other programs: {listed}. Choose another --port-base")
    return Beginning(network, funding, plans, load_hosts(plans, options.layout), began_s)


def describe(
    network: Network, funding: Funding, plans: tuple[NodePlan, ...], seconds: float | None
) -> str:
    """Say how to use a network that is ready, or was before."""
    return render_banner(
        accounts=funding.accounts,
        tokens=funding.tokens,
        mnemonic=funding.mnemonic,
        gateways=[
            GatewayLine(name, plan.port, plan.ws_port, network.find_paratime(name).evm_chain_id)
            for plan in plans
            if plan.service == "gateway"
            for name in plan.paratimes
        ],
        seconds=seconds,
    )
