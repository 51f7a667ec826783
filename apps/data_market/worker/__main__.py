"""
Runs a worker: `python -m apps.data_market.worker --help`.

It needs an app daemon for its keys, a gateway for the chain, and a folder for what it seals.
"""

import argparse
import asyncio
import sys
import threading
import time
from pathlib import Path

import structlog
import uvicorn

from apps.appd import BlockingAppd
from apps.data_market.chain.contracts import Market
from apps.data_market.errors import BadJob, GatewayAway
from apps.data_market.worker.api import build_api
from apps.data_market.worker.jobs import JobRunner
from apps.data_market.worker.keys import WorkerKeys
from apps.sealed_files import SealedFiles
from shared.errors import QanatError
from shared.kit.logs import configure_logs
from shared.kit.sockets import open_sockets

POLL_S = 0.25
"""Between two looks at the chain [s]."""
PATIENCE_S = 60.0
"""How long a gateway may take to be there when a worker starts [s]."""
log = structlog.get_logger(__name__)


def main() -> None:
    """Read the command line and work until a signal comes."""
    parser = argparse.ArgumentParser(prog="data-market-worker", description=__doc__)
    parser.add_argument("--appd", type=Path, required=True, help="socket of the app daemon")
    parser.add_argument("--gateway", required=True, help="URL of the ParaTime's gateway")
    parser.add_argument("--market", required=True, help="address of JobMarket")
    parser.add_argument("--worker", type=int, default=0, help="number of this worker, 0 or 1")
    parser.add_argument("--store", type=Path, required=True, help="folder of sealed files")
    parser.add_argument("--port", type=int, default=8590, help="loopback port; 0 takes a free one")
    options = parser.parse_args()
    configure_logs(service="data-market-worker", worker=options.worker)
    try:
        work(options)
    except QanatError as error:
        sys.exit(f"error: {error.message}")


def work(options: argparse.Namespace) -> None:
    """Derive keys, serve uploads and run jobs."""
    appd = BlockingAppd(options.appd)
    keys = WorkerKeys.derive(appd.derive, options.worker)
    market = reach_market(options.gateway, keys, options.market)
    if keys.account.address not in market.workers():
        raise BadJob(f"the market has other workers than {keys.account.address}")
    files = SealedFiles(options.store, keys.storage)
    runner = JobRunner(market, keys, files, lambda job, what: log.info(what, job=job))
    sockets = open_sockets("127.0.0.1", options.port)
    about = {
        "chain_id": market.chain_id,
        "market": market.address,
        "worker": keys.account.address,
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
    log.info("serving", url=f"http://127.0.0.1:{sockets[0].getsockname()[1]}")
    try:
        asyncio.run(server.serve(sockets))
    finally:
        ended.set()
        thread.join()


def reach_market(url: str, keys: WorkerKeys, address: str) -> Market:
    """Reach the market; a gateway that is not there yet is waited for. Raises `GatewayAway`."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return Market(url, keys.account, address)
        except GatewayAway:
            if time.monotonic() > deadline:
                raise
            log.info("waiting_for_the_gateway", url=url)
            time.sleep(1)


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
