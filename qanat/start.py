"""How a network starts by processes, seen from the command line."""

import asyncio
import os
import signal
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from qanat.banner import GatewayLine, render_banner
from qanat.forks import Forks
from qanat.funding import Funding, choose_funding
from qanat.launcher.environment import RunOptions
from qanat.launcher.hosts import load_hosts
from qanat.launcher.ports import describe_taken, taken_ports
from qanat.launcher.state import is_alive, load_running_state
from qanat.launcher.supervisor import AlreadyRunning, Supervisor
from qanat.layout import DataLayout
from qanat.network import Network, NodePlan, load_network, plan_nodes
from qanat.provision.data_directory import provision, remove_data
from qanat.readiness import NotReady, wait_until_ready
from shared.errors import Rejected
from shared.kit.logs import configure_logs
from shared.kit.process import run_process
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


def make_data_directory(
    network_file: Path,
    layout: DataLayout,
    *,
    to: str | None,
    count: int | None,
    amount: str | None,
    seed: bytes | None,
) -> bool:
    """Provision, unless that was done; say whether it was new."""
    network = load_network(network_file)
    funding = choose_funding(network, to=to, count=count, amount=amount)
    return provision(layout, network, funding.balances(), seed=seed)


def up(options: UpOptions, *, foreground: bool, out: Console, err: Console) -> None:
    """Start the network and wait until it is ready; in the foreground, stay."""
    began = time.monotonic()
    network = load_network(options.network_file)
    consent = "1" if network.unsafe_mock_tee else "0"
    require_mock_tee_consent({"QANAT_UNSAFE_MOCK_TEE": consent} | dict(os.environ))
    funding = choose_funding(network, to=options.to, count=options.count, amount=options.amount)
    state = load_running_state(options.layout)
    if state is not None:
        if foreground or options.wipe:
            raise AlreadyRunning(f"a network already runs on {options.layout.root}: `qanat down`")
        out.print(_banner(network, funding, plan_nodes(network, state.port_base), None))
        return
    if options.wipe:
        remove_data(options.layout.root)
    plans = plan_nodes(network, options.port_base)
    taken = taken_ports(plans, options.listen_host)
    if taken:
        listed = describe_taken(taken)
        raise PortTaken(f"ports taken by other programs: {listed}. Choose another --port-base")
    hosts = load_hosts(plans, options.layout)
    is_new = provision(options.layout, network, funding.balances(), seed=options.seed)
    err.print(f" * {'made' if is_new else 'resuming'} network in {options.layout.root}")
    err.print(f" * starting {len(plans)} nodes (mock TEE: no hardware protects them)")
    if foreground:
        _run_in_front(options, network, funding, began, out, hosts)
        return
    launcher = _spawn_launcher(options, hosts)
    with err.status("waiting …") as progress:
        try:
            wait_until_ready(
                _gateway_ports(plans),
                timeout_s=options.timeout_s,
                on_progress=lambda what: progress.update(f"waiting for {what} …"),
                is_alive=lambda: is_alive(launcher),
            )
        except (NotReady, KeyboardInterrupt) as error:
            if is_alive(launcher):
                os.kill(launcher, signal.SIGTERM)
            os.waitpid(launcher, 0)
            if isinstance(error, NotReady):
                raise NotReady(f"{error.message}. Logs: {options.layout.logs}") from error
            raise
    out.print(_banner(network, funding, plans, time.monotonic() - began))


def _gateway_ports(plans: tuple[NodePlan, ...]) -> list[int]:
    return [plan.port for plan in plans if plan.service == "gateway"]


def _banner(
    network: Network, funding: Funding, plans: tuple[NodePlan, ...], seconds: float | None
) -> str:
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


def _spawn_launcher(options: UpOptions, hosts: Forks) -> int:
    """
    Put the launcher into the background; its pid.

    It is forked, not started anew: everything it needs is loaded, which saves half a second.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        hosts.release()
        return pid
    os.setsid()
    with (
        (options.layout.logs / "launcher.log").open("ab") as output,
        Path(os.devnull).open() as nothing,
    ):
        os.dup2(nothing.fileno(), 0)
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    try:
        configure_logs(options.log_level, service="launcher")
        run_process(_supervisor(options, hosts).run)
    finally:
        # Not the interpreter's own end: that belongs to the process that was forked.
        os._exit(0 if sys.exc_info()[0] is None else 1)


def _supervisor(options: UpOptions, hosts: Forks) -> Supervisor:
    network = load_network(options.network_file)
    return Supervisor(
        network,
        plan_nodes(network, options.port_base),
        options.layout,
        RunOptions(options.log_level, options.seed, options.listen_host, options.database_url),
        network_file=options.network_file.resolve(),
        port_base=options.port_base,
        host_forks=hosts,
    )


def run_node(
    network_file: Path,
    layout: DataLayout,
    name: str,
    *,
    port_base: int,
    seed: bytes | None,
    database_url: str | None,
    log_level: str,
) -> None:
    """Run one node in the foreground, with its output on this process's own."""
    configure_logs(log_level, service="launcher", node=name)
    network = load_network(network_file)
    supervisor = Supervisor(
        network,
        plan_nodes(network, port_base, by_name=True),
        layout,
        RunOptions(log_level, seed, "0.0.0.0", database_url, logs_to_files=False),
        network_file=network_file.resolve(),
        port_base=port_base,
        only=name,
    )
    run_process(supervisor.run)


def _run_in_front(
    options: UpOptions,
    network: Network,
    funding: Funding,
    began: float,
    out: Console,
    hosts: Forks,
) -> None:
    configure_logs("warning", as_json=False, service="launcher")
    supervisor = _supervisor(options, hosts)
    plans = plan_nodes(network, options.port_base)
    stopped = threading.Event()

    async def announce() -> None:
        await asyncio.to_thread(
            wait_until_ready,
            _gateway_ports(plans),
            timeout_s=options.timeout_s,
            on_progress=lambda _: None,
            is_alive=lambda: not stopped.is_set(),
        )
        out.print(_banner(network, funding, plans, time.monotonic() - began))
        out.print("Press Ctrl-C to stop.")
        if options.ready_file is not None:
            options.ready_file.touch()

    async def main() -> None:
        supervision = asyncio.create_task(supervisor.run())
        announcement = asyncio.create_task(announce())
        try:
            await asyncio.wait({supervision, announcement}, return_when=asyncio.FIRST_EXCEPTION)
            # Only a failure, or a signal, comes here: supervision has no end of its own.
            for task in (announcement, supervision):
                if task.done():
                    task.result()
        finally:
            stopped.set()
            supervision.cancel()
            await asyncio.gather(supervision, announcement, return_exceptions=True)

    run_process(main)
