"""The launcher as a process: `qanat up` starts it in the background, a container in the front."""

import argparse
from pathlib import Path

from qanat.launcher.environment import RunOptions
from qanat.launcher.supervisor import Supervisor
from qanat.layout import DataLayout
from qanat.network import load_network, plan_nodes
from shared.kit.logs import configure_logs
from shared.kit.process import run_process


def main() -> None:
    """Read the arguments and supervise until a signal."""
    parser = argparse.ArgumentParser(prog="python -m qanat.launcher", description=__doc__)
    parser.add_argument("--network", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--port-base", type=int, required=True)
    parser.add_argument("--log-level", default="info")
    parser.add_argument("--seed", type=bytes.fromhex)
    parser.add_argument("--database-url")
    parser.add_argument("--listen-host", default="127.0.0.1")
    parser.add_argument("--node", help="run this node only, reaching the others by their names")
    arguments = parser.parse_args()
    configure_logs(arguments.log_level, service="launcher")
    network = load_network(arguments.network)
    supervisor = Supervisor(
        network,
        plan_nodes(network, arguments.port_base, by_name=arguments.node is not None),
        DataLayout(arguments.data.resolve()),
        RunOptions(
            log_level=arguments.log_level,
            seed=arguments.seed,
            listen_host=arguments.listen_host,
            database_url=arguments.database_url,
        ),
        network_file=arguments.network.resolve(),
        port_base=arguments.port_base,
        only=arguments.node,
    )
    run_process(supervisor.run)


if __name__ == "__main__":
    main()
