"""Apps of this project in workers that are containers: asked, verified and paid from outside."""

import json
import os
from pathlib import Path

import pytest
from eth_account import Account

from apps.knowledge.chain import KnowledgeChain
from qanat.network import load_network
from shared.rules.app_ids import decode_app_id
from tests.e2e.test_data_market import LABEL, NAMES, POT_WEI, rows_of
from tests.e2e.test_private_ai import (
    ANSWER_WEI,
    CHAIN,
    CREDIT_WEI,
    KEY,
    QUESTION,
    WORKERS,
    Ai,
    Deployed,
    verify,
)
from tests.support.networks import (
    FIRST_KEY,
    ROOT,
    ComposeNetwork,
    compose_network,
    run_cli,
    wait_for,
)

ASKED_FOR = "QANAT_TEST_AI_IMAGE"
pytestmark = [
    pytest.mark.timeout(1800),
    pytest.mark.skipif(
        ASKED_FOR not in os.environ,
        reason=f"builds an image of 0.8 GB, which takes minutes: {ASKED_FOR}=1 asks for it",
    ),
]
NETWORK = ROOT / "networks" / "ai.toml"
GATEWAY = "http://gateway:8545"
"""As the containers of workers see it."""


def test_the_apps_run_in_containers(tmp_path: Path) -> None:
    with compose_network(NETWORK, tmp_path) as network:
        inference_is_verified(network, tmp_path)
        documents_earn(network, tmp_path)
        rows_are_paid(network, tmp_path)


def outside(service: Deployed) -> list[str]:
    """Where its instances are met."""
    workers = load_network(NETWORK).worker
    assert workers is not None
    ports = [workers.published_port(name, service.port_of(name)) for name in WORKERS]
    return [f"http://127.0.0.1:{port}" for port in ports]


def inference_is_verified(network: ComposeNetwork, folder: Path) -> None:
    service = Deployed(network, folder / "inference", "inference")
    service.run(PORT="0")
    urls = outside(service)
    assert urls == ["http://127.0.0.1:8700", "http://127.0.0.1:8716"]
    texts = []
    for at, url in enumerate(urls):
        kept = folder / f"{at}.json"
        asked = ("ask", QUESTION, "--url", url, "--max-tokens", "12", "--keep", str(kept))
        texts.append(Ai(network, "infer").json(*asked, "--allow-mock")["text"])
        assert verify(kept)["subject"] == service.app_id
    assert texts[0] == texts[1] != ""


def documents_earn(network: ComposeNetwork, folder: Path) -> None:
    service = Deployed(network, folder / "knowledge", "knowledge")
    owner, app = Account.from_key(FIRST_KEY), decode_app_id(service.app_id)
    chain = KnowledgeChain.deploy(network.url, owner, None, ANSWER_WEI, app)
    service.run(PORT="0", GATEWAY=GATEWAY, PAY=chain.address, EPOCH_S="1")
    urls = outside(service)
    document = folder / "mill.txt"
    document.write_text("The mill at the ford grinds barley for nine villages.")
    ai, asks = Ai(network, "knowledge"), ("--url", urls[1], "--api-key", KEY)
    given = ai.json("add", str(document), "--url", urls[1], *CHAIN)
    ai.json("deposit", str(CREDIT_WEI), *asks, *CHAIN)
    question = ("Who grinds barley at the mill?", "--max-tokens", "8", "--allow-mock")
    told = ai.json("ask", *question, *asks)
    assert told["sources"] == [{"commitment": given["commitment"], "chunk": 0}]
    wait_for(lambda: chain.my_pay_wei() == ANSWER_WEI, 120, "the epoch is settled")


def rows_are_paid(network: ComposeNetwork, folder: Path) -> None:
    (folder / "rows").mkdir()
    for at, name in enumerate(NAMES):
        (folder / "rows" / f"{name}.csv").write_bytes(rows_of(at, 40))
    validation = folder / "validation.csv"
    validation.write_bytes(rows_of(99, 60))
    files = ("--contributors", str(folder / "rows"), "--validation", str(validation))
    asked = (*files, "--label", LABEL, "--pot", str(POT_WEI), "--gateway", network.url, "--json")
    told = run_cli("demo", "data-market", *asked, *network.cli_options(), timeout_s=600)
    assert sum(json.loads(told)["paid_wei"].values()) == POT_WEI
