"""Private AI in workers of a network: inference as a bundle, asked by an unmodified client."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from eth_account import Account

from apps.inference.errors import ChainRefused
from apps.inference.metering.chain import ChainMeter
from apps.inference.metering.usage import Epoch, Prices
from apps.knowledge.chain import KnowledgeChain
from shared.crypto.hashes import sha256
from shared.rules.app_ids import decode_app_id
from tests.e2e.test_rofl_commands import Commands
from tests.support.eavesdropper import eavesdrop, missing_eavesdropper
from tests.support.networks import (
    FIRST_KEY,
    ROOT,
    ProcessNetwork,
    RunningNetwork,
    port_base,
    two_workers,
    wait_for,
)
from tests.support.search import files_with, holds_any, memory_holds, needles_of

WORKERS = ("worker-0", "worker-1")
PORT_BASE = port_base(25545)
KEY, CREDIT_WEI, ANSWER_WEI = "sk-mine", 10**16, 1_000_003
CHAIN = ("--allow-mock", "--account", "test:0")
QUESTION = "Name three colours."
ASKED: dict[str, Any] = {
    "model": "smollm2-135m-instruct",
    "messages": [{"role": "user", "content": QUESTION}],
    "temperature": 0,
    "max_tokens": 12,
}


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProcessNetwork]:
    with two_workers(tmp_path_factory.mktemp("private-ai"), PORT_BASE) as network:
        yield network


class Deployed:
    """An app of this project on both workers, by the commands that its owner gives."""

    def __init__(self, network: RunningNetwork, folder: Path, program: str) -> None:
        self.here = tuple(network.cli_options())
        Commands(network, folder.parent).do("init", folder.name, "--program", program)
        self.app = Commands(network, folder)
        self.app_id = str(self.app.json("create")["app_id"])
        self.built: dict[str, Any] = self.app.json("build", *self.here)

    def run(self, **secrets: str) -> None:
        """Set its options, and run it."""
        lines = "".join(f"{name}={value}\n" for name, value in secrets.items())
        self.app.do("secret", "import", "--force", "-", given=lines)
        self.app.json("update")
        running = self.app.json("deploy", *self.here)
        assert [(one["worker"], one["state"]) for one in running] == [
            (name, "running") for name in WORKERS
        ]

    def urls(self) -> list[str]:
        """Where its instances serve, once each says so."""
        return [f"http://127.0.0.1:{self.port_of(name)}" for name in WORKERS]

    def port_of(self, worker: str) -> int:
        """On which port an instance says that it serves."""
        said: list[str] = []

        def has_said() -> bool:
            text = self.app.do("logs", "--worker", worker, *self.here)
            said[:] = re.findall(r'"port": (\d+)', text)
            return bool(said) or "Traceback" in text

        wait_for(has_said, 400, f"the app on {worker} serves")
        assert said, self.app.do("logs", "--worker", worker, *self.here)
        return int(said[-1])


@pytest.mark.long
@pytest.mark.timeout(900)
def test_inference_in_two_workers_answers_alike_and_is_verified(
    workers: ProcessNetwork, tmp_path: Path
) -> None:
    service = Deployed(workers, tmp_path / "inference", "inference")
    key_hash = sha256(KEY.encode())
    payer, app = Account.from_key(FIRST_KEY), decode_app_id(service.app_id)
    meter = ChainMeter.deploy(workers.url, payer, None, app)
    ai, paying = Ai(workers, "infer"), ("--meter", meter.address, "--api-key", KEY)
    assert ai.json("deposit", str(CREDIT_WEI), *paying) == {"credit_wei": CREDIT_WEI}
    service.run(
        PORT="0",
        GATEWAY=workers.url,
        METER=meter.address,
        EPOCH_S="1",
        KEY_HASHES=key_hash.hex(),
        BUSY_SHARE="1",  # other tests run beside
    )
    answers = []
    for at, url in enumerate(service.urls()):
        # An unmodified client of OpenAI's, and the command that verifies, say the same.
        with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY) as plain:
            said = plain.chat.completions.create(**ASKED)
            streamed = plain.chat.completions.create(**ASKED, stream=True)
            pieces = [one.choices[0].delta.content or "" for one in streamed]
        answers += [said.choices[0].message.content, "".join(pieces)]
        kept = tmp_path / f"{at}.json"
        asked = ("ask", QUESTION, "--url", url, "--api-key", KEY, "--max-tokens", "12")
        told = ai.json(*asked, "--keep", str(kept), "--allow-mock", *(["--stream"] if at else []))
        answers.append(told["text"])
        found = verify(kept)
        assert found["subject"] == service.app_id
        assert found["bodies_verified"]
        prove(meter, url, found["receipt_id"])
    assert len(set(answers)) == 1
    assert answers[0]
    # Both instances have charged, by keys that the chain knows them by; their account did not.
    assert ai.json("credit", *paying) == {"credit_wei": CREDIT_WEI - 6 * cost_of(said)}
    assert meter.next_epoch() >= len(WORKERS)
    with pytest.raises(ChainRefused):
        meter.commit(Epoch(meter.next_epoch(), (), ()))
    a_prompt_is_seen_by_nobody(workers, url)


def a_prompt_is_seen_by_nobody(network: ProcessNetwork, url: str) -> None:
    canary, control = (f"canary-{os.urandom(16).hex()}" for _ in range(2))
    needles, found = needles_of(canary.encode()), needles_of(control.encode())
    reason = missing_eavesdropper()
    with nullcontext() if reason else eavesdrop() as ear:
        asked = (f"{QUESTION} {canary}", "--url", url, "--api-key", KEY, "--max-tokens", "4")
        Ai(network, "infer").json("ask", *asked, "--allow-mock")
        # What is sent in plain is found, so that what is not found was not there.
        httpx.post(f"{url}/v1/chat/completions", content=control.encode())
    packets = b"" if ear is None else ear.heard()
    assert ear is None or holds_any(packets, found)
    assert not holds_any(packets, needles)
    assert not files_with(network.data, needles)
    assert not holds_any(network.log_text().encode(), needles)
    for process in network.processes():
        assert not memory_holds(process["pid"], needles), process["name"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_knowledge_in_two_workers_earns_by_commands(
    workers: ProcessNetwork, tmp_path: Path
) -> None:
    service = Deployed(workers, tmp_path / "knowledge", "knowledge")
    owner, app = Account.from_key(FIRST_KEY), decode_app_id(service.app_id)
    chain = KnowledgeChain.deploy(workers.url, owner, None, ANSWER_WEI, app)
    service.run(PORT="0", GATEWAY=workers.url, PAY=chain.address, EPOCH_S="1", BUSY_SHARE="1")
    urls = service.urls()
    document = tmp_path / "mill.txt"
    document.write_text("The mill at the ford grinds barley for nine villages.")
    ai = Ai(workers, "knowledge")
    given = [ai.json("add", str(document), "--url", url, *CHAIN) for url in urls]
    assert given[0] == given[1]
    paid_in = ai.json("deposit", str(CREDIT_WEI), "--url", urls[0], "--api-key", KEY, *CHAIN)
    assert paid_in == {"credit_wei": CREDIT_WEI}
    question = ("Who grinds barley at the mill?", "--api-key", KEY, "--max-tokens", "8")
    answers = [ai.json("ask", *question, "--url", url, "--allow-mock") for url in urls]
    assert answers[0] == answers[1]
    assert answers[0]["sources"] == [{"commitment": given[0]["commitment"], "chunk": 0}]
    # Each instance settles the answer that it gave, to the wei.
    wait_for(lambda: chain.my_pay_wei() == 2 * ANSWER_WEI, 60, "both epochs are settled")
    taken = ai.json("earned", "--pay", chain.address, "--withdraw", *CHAIN)
    assert taken == {"earned_wei": 2 * ANSWER_WEI, "withdrawn": True}
    left = ai.json("credit", "--pay", chain.address, "--api-key", KEY, *CHAIN)
    assert left["credit_wei"] < CREDIT_WEI - 2 * ANSWER_WEI
    ai.json("remove", given[0]["commitment"], "--pay", chain.address, *CHAIN)
    gone = ai.json("ask", *question, "--url", urls[1], "--allow-mock")
    assert gone["sources"] == []
    refused = ai.run("ask", *question, "--url", urls[1])
    assert refused.returncode == 1
    assert "MOCK" in refused.stderr


class Ai:
    """The commands of `qanat ai`."""

    def __init__(self, network: RunningNetwork, group: str) -> None:
        self._group, self._environment = group, os.environ | {"QANAT_GATEWAY": network.url}

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "qanat", "ai", self._group, *arguments],
            cwd=ROOT,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=400,
            check=False,
        )

    def json(self, *arguments: str) -> Any:
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def cost_of(said: Any) -> int:
    return Prices(10**9, 10**10).cost(said.usage.prompt_tokens, said.usage.completion_tokens)


def prove(meter: ChainMeter, url: str, receipt_id: str) -> None:
    """Wait until an instance has committed to a receipt, and have the contract say so."""
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {KEY}"}) as client:
        place = f"/v1/qanat/receipts/{receipt_id}/proof"
        wait_for(lambda: client.get(place).status_code == 200, 60, "the epoch is charged")
        shown = client.get(place).json()
    assert meter.root_of(shown["epoch"]).hex() == shown["root"]


def verify(kept: Path) -> Any:
    """What `qanat verify` says of an answer that a client kept."""
    command = [sys.executable, "-m", "qanat", "verify", "receipt", str(kept)]
    done = subprocess.run(
        [*command, "--allow-mock", "--json"], cwd=ROOT, capture_output=True, check=True
    )
    return json.loads(done.stdout)
