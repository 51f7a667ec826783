"""
Runs the knowledge app: `python -m apps.knowledge --help`.

It needs an app daemon for keys and quotes, a gateway for the chain, and a folder for what it seals.
What the command line does not say is taken from the environment, as by `apps.inference`.
"""

import argparse
import asyncio
import os
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog
from eth_account import Account
from eth_account.signers.local import LocalAccount
from nacl.public import PrivateKey

from apps.appd import BlockingAppd
from apps.inference.__main__ import charge, common_options, serve, take_little
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
    common_options(parser, port=8597)
    pay, home = os.environ.get("PAY"), os.environ.get("HOME", "")
    parser.add_argument("--pay", default=pay, help="address of KnowledgePay (PAY)")
    parser.add_argument(
        "--store",
        type=Path,
        default=None if pay is None else Path(home) / "sealed",
        help="folder of sealed files; by PAY, in the home of the instance",
    )
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
    daemon = BlockingAppd(options.appd)
    chain = await asyncio.to_thread(
        KnowledgeChain, options.gateway, keys.account, options.pay, daemon
    )
    await asyncio.to_thread(chain.introduce)
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
        await serve(options, frozenset(), meter, extend)
    finally:
        charging.cancel()
        await asyncio.gather(charging, return_exceptions=True)
        await meter.commit()


if __name__ == "__main__":
    main()
