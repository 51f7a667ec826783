"""
Runs the knowledge app: `python -m apps.knowledge --help`.

It needs an app daemon for keys and quotes, a gateway for the chain, and a folder for what it seals.
"""

import argparse
import asyncio
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog
from eth_account import Account
from eth_account.signers.local import LocalAccount
from nacl.public import PrivateKey

from apps.appd import BlockingAppd
from apps.inference.__main__ import charge, serve, take_little
from apps.inference.metering.meter import Meter
from apps.inference.metering.usage import Prices
from apps.inference.models.answered import CONTEXT_TOKENS
from apps.inference.serve.engine import Engine, Models
from apps.knowledge.chain import KnowledgeChain
from apps.knowledge.service import MODEL_ID, Knowledge
from apps.knowledge.shelf import Documents, Place, Shelf
from apps.sealed_files import SealedFiles
from shared.errors import QanatError
from shared.kit.logs import configure_logs

PREFIX = "qanat.knowledge/"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AppKeys:
    """Keys of the app, equal on each replica."""

    account: LocalAccount = field(repr=False)
    """By which it settles."""
    uploads: PrivateKey = field(repr=False)
    storage: bytes = field(repr=False)
    fingerprints: bytes = field(repr=False)

    @classmethod
    def derive(cls, socket: Path) -> "AppKeys":
        """Derive them, or raise `AppdAway`."""
        derive = BlockingAppd(socket).derive
        return cls(
            Account.from_key(derive(f"{PREFIX}account/1", "secp256k1")),
            PrivateKey(derive(f"{PREFIX}uploads/1")),
            derive(f"{PREFIX}storage/1"),
            derive(f"{PREFIX}fingerprints/1"),
        )


def with_knowledge(
    models: Models,
    engine: Engine,
    *,
    keys: AppKeys,
    chain: Documents,
    place: Place,
    answer_wei: int,
    store: Path,
) -> Models:
    """Add the model that answers from documents. Raises `BadSeal`."""
    files = SealedFiles(store, keys.storage)
    shelf = Shelf(place, chain, engine, models.embeddings, files, keys.uploads, keys.fingerprints)
    upload_key = bytes(keys.uploads.public_key)
    knowledge = Knowledge(place, shelf, models.chat, answer_wei, upload_key)
    # It runs the language model's weights.
    digests = models.digests | {MODEL_ID: models.digests[models.chat_id]}
    return replace(models, sourced=knowledge, digests=digests)


def main() -> None:
    """Read the command line and serve until a signal comes."""
    parser = argparse.ArgumentParser(prog="knowledge", description=__doc__)
    parser.add_argument("--appd", type=Path, required=True, help="socket of the app daemon")
    parser.add_argument("--gateway", help="URL of the ParaTime's gateway")
    parser.add_argument("--pay", help="address of KnowledgePay")
    parser.add_argument("--store", type=Path, help="folder of sealed files")
    parser.add_argument("--port", type=int, default=8597, help="loopback port; 0 takes a free one")
    parser.add_argument("--prompt-wei", type=int, default=10**9, help="price of a token read")
    parser.add_argument("--completion-wei", type=int, default=10**10, help="of a token written")
    parser.add_argument("--epoch-s", type=float, default=60.0, help="between two settlements")
    parser.add_argument(
        "--account", action="store_true", help="print the account that KnowledgePay is made for"
    )
    options = parser.parse_args()
    if not options.account and not (options.gateway and options.pay and options.store):
        parser.error("--gateway, --pay and --store are needed to serve")
    try:
        keys = AppKeys.derive(options.appd)
        if options.account:
            sys.stdout.write(f"{keys.account.address}\n")
            return
        configure_logs(service="knowledge")
        take_little()
        asyncio.run(run(options, keys))
    except QanatError as error:
        sys.exit(f"error: {error.message}")


async def run(options: argparse.Namespace, keys: AppKeys) -> None:
    """Serve, and settle each epoch and at the end."""
    chain = await asyncio.to_thread(KnowledgeChain, options.gateway, keys.account, options.pay)
    log.info("metered", account=keys.account.address, pay=chain.address)
    prices = Prices(options.prompt_wei, options.completion_wei)
    meter = Meter(chain, prices, CONTEXT_TOKENS, chain.answer_wei)
    place = Place(chain.chain_id, bytes.fromhex(chain.address.removeprefix("0x")))

    def extend(models: Models, engine: Engine) -> Models:
        return with_knowledge(
            models,
            engine,
            keys=keys,
            chain=chain,
            place=place,
            answer_wei=chain.answer_wei,
            store=options.store,
        )

    charging = asyncio.create_task(charge(meter, options.epoch_s))
    try:
        await serve(options.appd, options.port, frozenset(), meter, extend)
    finally:
        charging.cancel()
        await asyncio.gather(charging, return_exceptions=True)
        await meter.commit()


if __name__ == "__main__":
    main()
