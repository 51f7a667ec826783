"""Knowledge on a network, with the real models: owners are paid to the wei, and nothing leaks."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount

from apps.knowledge.__main__ import AppKeys
from apps.knowledge.letters import letters
from qanat.ai import knowledge
from qanat.demo_workers import running_appd
from shared.crypto.hashes import sha256
from tests.support.eavesdropper import eavesdrop, missing_eavesdropper
from tests.support.metrics_page import ROOT
from tests.support.networks import FIRST_KEY, ProcessNetwork, wait_for
from tests.support.search import files_with, holds_any, memory_holds, needles_of

ANSWER_WEI, CREDIT_WEI = 1_000_003, 10**16
KEY = "sk-asker"
CANARIES = {name: f"canary-{name}-{os.urandom(16).hex()}" for name in ("mill", "bees", "prompt")}
MILL = (
    "The mill at the ford grinds barley for nine villages and keeps a tenth of the flour. "
    f"On the third sack from the door somebody has painted {CANARIES['mill']} in red. "
    "In dry years the miller opens the upper sluice at midnight, which the villages do not know."
)
BEES = (
    "The bees of the upper garden are counted at the first snow by the two youngest nuns. "
    f"The ledger of the hives begins with {CANARIES['bees']}, which nobody reads any more."
)
ALLOWED = knowledge.Policy(allow_mock=True)


@contextmanager
def running_app(folder: Path, socket: Path, gateway: str, pay: str) -> Iterator[str]:
    """Run the app's process; gives its URL."""
    log = folder / f"app-{len(list(folder.glob('app-*')))}.log"
    command = [sys.executable, "-m", "apps.knowledge", "--appd", str(socket), "--gateway", gateway]
    command += ["--pay", pay, "--store", str(folder / "store"), "--port", "0", "--epoch-s", "1"]
    # Tests run beside others, who leave a model that pauses for them nothing at all.
    command += ["--busy-share", "1"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_for(lambda: process.poll() is not None or _port_of(log), 60, "the app serves")
        assert process.poll() is None, log.read_text()
        yield f"http://127.0.0.1:{_port_of(log)}"
    finally:
        process.kill()
        process.wait(30)


def _port_of(log: Path) -> int | None:
    for line in log.read_text().splitlines():
        if '"ready"' in line:
            return int(json.loads(line)["port"])
    return None


class Scene:
    """The contracts, two contributors and somebody who asks."""

    def __init__(self, network: ProcessNetwork, socket: Path) -> None:
        self.network, self.funder = network, Account.from_key(FIRST_KEY)
        app = AppKeys.derive(socket).account.address
        self.asking = knowledge.KnowledgeChain.deploy(network.url, self.funder, app, ANSWER_WEI)
        self.asking.send_wei(app, 10**18)
        self.asking.deposit(sha256(KEY.encode()), CREDIT_WEI)
        self.chains = [self._chain(Account.create()) for _ in range(2)]

    def _chain(self, account: LocalAccount) -> knowledge.KnowledgeChain:
        self.asking.send_wei(account.address, 10**18)
        return knowledge.KnowledgeChain(self.network.url, account, self.asking.address)


@pytest.mark.long
@pytest.mark.timeout(400)
@pytest.mark.skipif(missing_eavesdropper() is not None, reason="recording packets needs root")
def test_documents_earn_by_answers_and_are_nowhere_to_be_found(
    process_network: ProcessNetwork, tmp_path: Path
) -> None:
    with running_appd(tmp_path, "knowledge") as socket, eavesdrop() as ear:
        scene = Scene(process_network, socket)
        pay = scene.asking.address
        with running_app(tmp_path, socket, process_network.url, pay) as url:
            with knowledge.app(url, policy=ALLOWED) as app:
                ana, ben = (knowledge.Contributor(app, one) for one in scene.chains)
                mill, bees = ana.add(MILL.encode()), ben.add(BEES.encode())
            question = f"Who grinds barley at the mill? ({CANARIES['prompt']})"
            answer = knowledge.ask(url, question, policy=ALLOWED, api_key=KEY, max_tokens=24)
            assert mill.commitment in [one.commitment for one in answer.sources]
            assert letters(answer.text)
            wait_for(lambda: ana.pay_wei() > 0, 60, "the epoch is settled")
            assert ana.pay_wei() + ben.pay_wei() == ANSWER_WEI
            charged = CREDIT_WEI - scene.asking.my_credit_wei(sha256(KEY.encode()))
            assert charged > ANSWER_WEI
            ana.remove(mill.commitment)
        # Another process of the app knows what the first one took, and what the chain says.
        with running_app(tmp_path, socket, process_network.url, pay) as url:
            asked = "Who grinds barley at the mill, and who counts the bees at the first snow?"
            answer = knowledge.ask(url, asked, policy=ALLOWED, api_key=KEY, max_tokens=8)
            assert {one.commitment for one in answer.sources} == {bees.commitment}
            wait_for(lambda: ana.pay_wei() + ben.pay_wei() == 2 * ANSWER_WEI, 60, "settled")
            paid = [ana.withdraw(), ben.withdraw()]
            assert sum(paid) == 2 * ANSWER_WEI
            assert paid[1] >= ANSWER_WEI
            assert [ana.pay_wei(), ben.pay_wei()] == [0, 0]
            # The control: a question in plain.
            control = os.urandom(32).hex()
            httpx.post(f"{url}/v1/chat/completions", content=control.encode())
    packets = ear.heard()
    assert holds_any(packets, needles_of(control.encode()))
    needles = [one for canary in CANARIES.values() for one in needles_of(canary.encode())]
    assert not holds_any(packets, needles)
    assert not files_with(tmp_path, needles)
    assert not files_with(process_network.data, needles)
    assert not holds_any(process_network.log_text().encode(), needles)
    for process in process_network.processes():
        assert not memory_holds(process["pid"], needles), process["service"]
    (tmp_path / "control").write_text(MILL)
    assert files_with(tmp_path, needles_of(CANARIES["mill"].encode()))
