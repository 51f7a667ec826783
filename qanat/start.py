"""How a network starts by processes, seen from the command line."""

import asyncio
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from qanat.begin import Beginning, UpOptions, describe
from qanat.fork_spawn import ForkServer
from qanat.funding import choose_funding
from qanat.launcher.environment import RunOptions
from qanat.launcher.state import is_alive
from qanat.launcher.supervisor import Supervisor
from qanat.layout import DataLayout
from qanat.network import NodePlan, load_network, plan_nodes, with_profile
from qanat.provision.data_directory import provision
from qanat.provision.gas_rule import charging_for_size
from qanat.provision.removal import verify_time_step
from qanat.readiness import NotReady, wait_until_ready
from shared.errors import QanatError
from shared.kit.logs import configure_logs
from shared.kit.process import run_process


def make_data_directory(
    network_file: Path,
    layout: DataLayout,
    *,
    to: str | None,
    count: int | None,
    amount: str | None,
    seed: bytes | None,
    block_time_step_s: int | None = None,
    profile: str | None = None,
) -> bool:
    """Provision, unless that was done; say whether it was new."""
    network = load_network(network_file)
    if block_time_step_s is not None:
        verify_time_step(layout, block_time_step_s)
        network = replace(network, block_time_step_s=block_time_step_s)
    if profile is not None:
        network = with_profile(network, profile)
    funding = choose_funding(network, to=to, count=count, amount=amount)
    return provision(layout, network, funding.balances(), seed=seed, test_keys=funding.test_keys)


def up(
    options: UpOptions, beginning: Beginning, *, foreground: bool, out: Console, err: Console
) -> None:
    """Start the network and wait until it is ready; in the foreground, stay."""
    network, funding, plans = beginning.network, beginning.funding, beginning.plans
    is_new = provision(
        options.layout,
        network,
        funding.balances(),
        seed=options.seed,
        test_keys=funding.test_keys,
    )
    err.print(f" * {'made' if is_new else 'resuming'} network in {options.layout.root}")
    for name in [] if is_new else charging_for_size(options.layout, network):
        err.print(
            f" * {name} goes on charging for size and signature, as it was made: a transfer takes "
            "more than 21,000 gas. Of a new network (--wipe), profile dev has Ethereum's gas"
        )
    err.print(f" * starting {len(plans)} nodes (mock TEE: no hardware protects them)")
    if foreground:
        _run_in_front(options, beginning, out)
        return
    launcher = _spawn_launcher(options, beginning.hosts)
    with err.status("waiting …") as progress:
        try:
            asyncio.run(_tell_of_successors(options, plans, lambda: is_alive(launcher)))
            wait_until_ready(
                _gateway_ports(plans),
                timeout_s=options.timeout_s,
                on_progress=lambda what: progress.update(f"waiting for {what} …"),
                is_alive=lambda: is_alive(launcher),
            )
        except (QanatError, KeyboardInterrupt) as error:
            if is_alive(launcher):
                os.kill(launcher, signal.SIGTERM)
            os.waitpid(launcher, 0)
            if isinstance(error, NotReady):
                raise NotReady(f"{error.message}. Logs: {options.layout.logs}") from error
            raise
    out.print(describe(network, funding, plans, time.monotonic() - beginning.began_s))


async def _tell_of_successors(
    options: UpOptions, plans: tuple[NodePlan, ...], is_running: Callable[[], bool]
) -> None:
    """Tell consensus of enclaves that go on for those of the code that made the directory."""
    if options.layout.succession.exists():
        # Only then: it loads what no other start needs.
        from qanat.deployment import deploy_succession

        await deploy_succession(
            options.layout, plans, timeout_s=options.timeout_s, is_running=is_running
        )


def _gateway_ports(plans: tuple[NodePlan, ...]) -> list[int]:
    return [plan.port for plan in plans if plan.service == "gateway"]


def _spawn_launcher(options: UpOptions, hosts: ForkServer) -> int:
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


def _supervisor(options: UpOptions, hosts: ForkServer) -> Supervisor:
    network = load_network(options.network_file)
    return Supervisor(
        network,
        plan_nodes(network, options.port_base),
        options.layout,
        RunOptions(
            options.log_level,
            options.seed,
            options.listen_host,
            options.database_url,
            log_mib=options.log_mib,
            require_encryption=options.require_encryption,
            profile=options.profile,
            client_version=options.client_version,
        ),
        network_file=options.network_file.resolve(),
        port_base=options.port_base,
        hosts=hosts,
    )


def run_node(
    network_file: Path,
    layout: DataLayout,
    name: str,
    options: RunOptions,
    *,
    port_base: int,
) -> None:
    """Run one node in the foreground, with its output on this process's own."""
    configure_logs(options.log_level, service="launcher", node=name)
    network = load_network(network_file)
    supervisor = Supervisor(
        network,
        plan_nodes(network, port_base, by_name=True),
        layout,
        options,
        network_file=network_file.resolve(),
        port_base=port_base,
        only=name,
    )
    run_process(supervisor.run)


def _run_in_front(options: UpOptions, beginning: Beginning, out: Console) -> None:
    configure_logs("warning", as_json=False, service="launcher")
    supervisor = _supervisor(options, beginning.hosts)
    network, funding, plans = beginning.network, beginning.funding, beginning.plans
    stopped = threading.Event()

    async def announce() -> None:
        await _tell_of_successors(options, plans, lambda: not stopped.is_set())
        await asyncio.to_thread(
            wait_until_ready,
            _gateway_ports(plans),
            timeout_s=options.timeout_s,
            on_progress=lambda _: None,
            is_alive=lambda: not stopped.is_set(),
        )
        out.print(describe(network, funding, plans, time.monotonic() - beginning.began_s))
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
