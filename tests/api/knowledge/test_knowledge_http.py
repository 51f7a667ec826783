"""The app over HTTP: contributors verify it, askers get sources and receipts, each pays once."""

import json
from contextlib import contextmanager
from operator import itemgetter

import openai
import pytest

from apps.inference.metering.meter import Meter
from apps.inference.metering.usage import Prices
from apps.knowledge.answers import read_answer
from apps.knowledge.errors import AppAway
from apps.knowledge.letters import letters
from qanat.ai import knowledge
from shared.crypto.hashes import sha256
from shared.errors import Rejected
from tests.support.app_server import on_a_port
from tests.support.inference import KEY, OTHER_KEY, a_client, real_now
from tests.support.knowledge import (
    ANSWER_WEI,
    PLACE,
    Parrot,
    Register,
    given,
    sealed,
    served_app,
)

MILL = (
    "The mill at the ford grinds barley for nine villages and keeps a tenth of the flour. "
    "In dry years the miller opens the upper sluice at midnight, which the villages do not know. "
    "Canary-7c1f is painted on the third sack from the door of the loft, in red."
)
PAY = f"0x{PLACE.pay.hex()}"
QUESTION = "Who grinds barley at the mill?"
ALLOWED = knowledge.Policy(allow_mock=True)
PRICES = Prices(2, 3)
MOST_TOKENS = 100


class Ledger:
    """The contract's rules, in the test's process."""

    def __init__(self, **credit):
        self.credit = {sha256(KEY.encode()): 10**9} | credit
        self.epochs = []

    def credit_wei(self, key_hash):
        return self.credit.get(key_hash, 0)

    def next_epoch(self):
        return len(self.epochs)

    def commit(self, epoch):
        self.epochs.append(epoch)


class Chain:
    """`KnowledgeChain` for a contributor, over the register."""

    def __init__(self, register, address=PAY):
        self.chain_id, self.address, self._register = PLACE.chain_id, address, register

    def register(self, commitment, chunks, max_run, budget):
        self._register.register(commitment, chunks, max_run, budget)

    def remove(self, commitment):
        self._register.remove(commitment)


@contextmanager
def a_server(folder, parrot, register, meter=None):
    """The app on a port, in a thread of its own; gives its URL."""
    clock = {"now_s": real_now, "began_s": real_now()}
    socket, store = folder / "appd.sock", folder / "store"
    served = served_app(socket, parrot, register, store, **clock, meter=meter)
    with on_a_port(served, app_of=itemgetter(0)) as url:
        yield url


@pytest.mark.enable_socket
def test_story_from_a_document_to_an_answer_and_back(tmp_path):
    register = Register()
    with a_server(tmp_path, Parrot(), register) as url:
        with pytest.raises(Rejected, match="MOCK"):
            knowledge.app(url)
        with knowledge.app(url, policy=ALLOWED) as app:
            with pytest.raises(AppAway, match="another contract"):
                knowledge.Contributor(app, Chain(register, f"0x{'00' * 20}"))
            ana = knowledge.Contributor(app, Chain(register))
            document = ana.add(MILL.encode(), max_run=40, budget=200)
            answer = knowledge.ask(url, QUESTION, policy=ALLOWED, api_key=KEY)
            assert answer.sources == (knowledge.Source(document.commitment, 0),)
            assert answer.is_withheld
            assert letters(MILL).startswith(letters(answer.text))
            assert len(letters(answer.text)) == 40
            ana.remove(document.commitment)
            answer = knowledge.ask(url, QUESTION, policy=ALLOWED, api_key=KEY)
            assert answer.sources == ()
            with pytest.raises(AppAway, match="removed"):
                ana.hand(document)
        with pytest.raises(openai.BadRequestError, match="characters"):
            knowledge.ask(url, "x" * 3_000, policy=ALLOWED, api_key=KEY)


async def chat(client, **changes):
    asked = {"model": "knowledge", "messages": [{"role": "user", "content": QUESTION}]} | changes
    return await client.post("/v1/chat/completions", json=asked)


async def test_owners_are_paid_by_who_asks_whether_he_stays_or_leaves(tmp_path):
    register, ledger, document = Register(), Ledger(), given(MILL)
    register.register(document.commitment, 1, 40, 400)
    meter = Meter(ledger, PRICES, MOST_TOKENS, ANSWER_WEI)
    async with (
        served_app(tmp_path / "s", Parrot(), register, tmp_path / "d", meter=meter) as (app, keys),
        a_client(app) as client,
        a_client(app, OTHER_KEY) as poor,
    ):
        taken = await client.post("/v1/knowledge/documents", content=sealed(keys, document))
        assert taken.json() == {"commitment": document.commitment.hex()}
        whole = await chat(client)
        assert read_answer(whole.json()["choices"][0]["message"]["content"]).sources
        streamed = await chat(client, stream=True)
        pieces = [
            json.loads(line.removeprefix("data: "))["choices"][0]["delta"].get("content", "")
            for line in streamed.text.split("\n\n")
            if line.startswith("data: {")
        ]
        assert read_answer("".join(pieces)).is_withheld
        # What leaves by a stream has passed the guard piece by piece.
        assert len(letters("".join(pieces).partition("\n\n")[0])) == 40
        nothing = await chat(client, messages=[{"role": "user", "content": "quantum"}])
        assert nothing.status_code == 200
        refused = await chat(client, messages=[{"role": "system", "content": "hi"}])
        assert refused.status_code == 400
        assert (await chat(poor)).status_code == 429
        epoch = await meter.commit()
        payer = sha256(KEY.encode())
        assert epoch.pays == ((payer, document.commitment, 2 * ANSWER_WEI),)
        ((owner, charged),) = epoch.charges
        tokens = charged - 2 * ANSWER_WEI
        assert owner == payer
        assert 0 < tokens <= 2 * MOST_TOKENS * 3
        assert await meter.commit() is None


async def test_only_sealed_documents_come_in_and_refusals_repeat_nothing(tmp_path):
    register, document = Register(), given(MILL)
    async with (
        served_app(tmp_path / "s", Parrot(), register, tmp_path / "d") as (app, keys),
        a_client(app) as client,
    ):
        unknown = await client.post("/v1/knowledge/documents", content=sealed(keys, document))
        register.register(document.commitment, 1)
        plain = await client.post("/v1/knowledge/documents", content=MILL.encode())
        long = await client.post("/v1/knowledge/documents", content=bytes(2 << 20))
        assert [one.status_code for one in (unknown, plain, long)] == [400, 400, 413]
        for one in (unknown, plain):
            assert "Canary" not in one.text
        assert (await client.get("/v1/knowledge/documents")).status_code in (404, 405)
        models = [one["id"] for one in (await client.get("/v1/models")).json()["data"]]
        assert "knowledge" in models
