"""
Runs a worker: `python -m apps.data_market.worker --help`.

It is the program of the market's app (`qanat rofl init --program data-market`): what the command
line does not say is taken from the environment, where a worker of a network puts an app's secrets.
"""

import argparse
import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog
import uvicorn

from apps.appd import BlockingAppd
from apps.data_market.chain.instance import InstanceMarket
from apps.data_market.errors import BadJob, GatewayAway
from apps.data_market.worker.api import build_api
from apps.data_market.worker.jobs import JobRunner
from apps.data_market.worker.keys import WorkerKeys
from apps.listening import listen
from apps.sealed_files import SealedFiles
from shared.errors import QanatError
from shared.kit.logs import configure_logs
from shared.rules.app_ids import decode_app_id

POLL_S = 0.25
"""Between two looks at the chain [s]."""
PATIENCE_S = 60.0
"""How long a gateway may take to be there when a worker starts [s]."""
SERVING = "serving"
"""What it writes once it serves, with its `port`."""
PORT_FILE = "port"
log = structlog.get_logger(__name__)


def main() -> None:
    """Read the command line and work until a signal comes."""
    known = os.environ.get
    parser = argparse.ArgumentParser(prog="data-market-worker", description=__doc__)

    def add(name: str, variable: str, kind: Callable[[str], object], text: str) -> None:
        default = known(variable)
        parser.add_argument(
            f"--{name}",
            type=kind,
            default=default,
            required=not default,
            help=f"{text} ({variable})",
        )

    add("appd", "ROFL_APPD_SOCKET", Path, "socket of the app daemon")
    add("gateway", "GATEWAY", str, "URL of the ParaTime's gateway")
    add("market", "MARKET", str, "address of JobMarket")
    add("home", "HOME", Path, "folder of what it seals, and of the port it had")
    parser.add_argument(
        "--port",
        type=int,
        default=known("PORT", "0"),
        help="to serve on; 0 takes that of the start before, or a free one (PORT)",
    )
    options = parser.parse_args()
    configure_logs(service="data-market-worker")
    try:
        work(options)
    except QanatError as error:
        sys.exit(f"error: {error.message}")


def work(options: argparse.Namespace) -> None:
    """Derive keys, serve uploads and run jobs."""
    appd = BlockingAppd(options.appd)
    keys = WorkerKeys.derive(appd.derive)
    market = reach_market(options.gateway, appd, options.market)
    app = appd.app_id()
    if market.app() != decode_app_id(app):
        raise BadJob(f"the market {market.address} is of another app than {app}")
    files = SealedFiles(options.home / "sealed", keys.storage)
    runner = JobRunner(market, keys, files, lambda job, what: log.info(what, job=job))
    kept = options.home / PORT_FILE
    sockets = listen(options.port, _port_before(kept))
    port = sockets[0].getsockname()[1]
    kept.write_text(str(port))
    about = {
        "chain_id": market.chain_id,
        "market": market.address,
        "app": app,
        "upload_key": bytes(keys.upload.public_key).hex(),
        "tee": "mock",
    }
    server = uvicorn.Server(
        uvicorn.Config(build_api(runner, about, appd.quote), log_config=None, access_log=False)
    )
    ended = threading.Event()

    def run() -> None:
        try:
            run_jobs(runner, ended)
        finally:
            # By a bug, where nobody ended it: a worker that only takes uploads helps nobody.
            server.should_exit = True

    thread = threading.Thread(target=run, name="jobs")
    thread.start()
    log.info(SERVING, port=port)
    try:
        asyncio.run(server.serve(sockets))
    finally:
        ended.set()
        thread.join()


def reach_market(url: str, appd: BlockingAppd, address: str) -> InstanceMarket:
    """Reach the market; a gateway that is not there yet is waited for. Raises `GatewayAway`."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return InstanceMarket(url, appd, address)
        except GatewayAway:
            if time.monotonic() > deadline:
                raise
            log.info("waiting_for_the_gateway", url=url)
            time.sleep(1)


def _port_before(kept: Path) -> int:
    """Give the port of the start before, so that URLs outlive it; 0 where there was none."""
    try:
        return int(kept.read_text())
    except (FileNotFoundError, ValueError):
        return 0


def run_jobs(runner: JobRunner, ended: threading.Event) -> None:
    """Bring every job forward, until told to end; what fails is tried again."""
    while not ended.wait(POLL_S):
        for id_ in runner.open_jobs():
            if ended.is_set():
                return
            try:
                runner.advance(id_)
            except QanatError as error:
                log.warning("not_advanced", job=id_.hex(), error=type(error).__name__)


if __name__ == "__main__":
    main()
