"""Models that are slow, stand still or die: who asked is told, charged right, and has a receipt."""

import asyncio
import json
import threading

import httpx2
import openai
import pytest

from apps.inference.errors import ModelEnded
from apps.inference.metering.meter import Meter
from apps.inference.metering.usage import Prices
from apps.inference.models.answered import Answered
from qanat.ai import infer
from shared.crypto.hashes import sha256
from tests.api.inference.test_service import ASKED, CHAT_MODEL, verify
from tests.support.inference import KEY, Scripted, a_client, a_server, served

ALLOWED = infer.Policy(allow_mock=True)
PRICES = Prices(2, 3)
STREAMED = ASKED | {"stream": True}


class Ledger:
    """As much of a contract as credit needs."""

    def credit_wei(self, _):
        return 10**6

    def next_epoch(self):
        return 0

    def commit(self, epoch):
        self.charges = epoch.charges


class Held(Scripted):
    """Says nothing until it is let go on."""

    def __init__(self):
        super().__init__()
        self.may_go_on = threading.Event()

    def chat(self, request, on_text):
        self.may_go_on.wait(10)
        return super().chat(request, on_text)


class Dying(Scripted):
    """Its process ends after two pieces."""

    def chat(self, request, on_text):
        self.pieces = self.pieces[:2]
        super().chat(request, on_text)
        raise ModelEnded("the model's process ended; try again")


class Chatty(Scripted):
    """Answers to some until they listen no more."""

    def __init__(self):
        super().__init__()
        self.was_left = threading.Event()

    def chat(self, request, on_text):
        if request["messages"][0]["content"] != "endless":
            return super().chat(request, on_text)
        while not on_text("x"):
            self.was_left.wait(0.01)
        self.was_left.set()
        return Answered("stop", 5, 1)


async def ask_slow(client, held: Held, after_s: float):
    """Ask for a stream, of which the model says nothing for a while; what was sent, and came."""
    sent = json.dumps(STREAMED).encode()
    asked = asyncio.create_task(client.post("/v1/chat/completions", content=sent))
    await asyncio.sleep(after_s)
    held.may_go_on.set()
    return sent, await asked


async def test_stream_lives_while_nothing_is_said_and_its_receipt_has_all_of_it(tmp_path) -> None:
    held = Held()
    async with served(tmp_path / "s", held, keep_alive_s=0.02) as app, a_client(app) as client:
        sent, response = await ask_slow(client, held, 0.3)
        first, *_, last = events = response.text.split("\n\n")[:-1]
        assert (first, last) == (": keep-alive", "data: [DONE]")
        assert events.count(first) >= 2
        said = [
            json.loads(one.removeprefix("data: ")) for one in events if one.startswith("data: {")
        ]
        assert (
            "".join(one["choices"][0]["delta"].get("content", "") for one in said) == "Hello wörld"
        )
        assert said[0]["choices"][0]["delta"]["role"] == "assistant"
        assert (await verify(client, sent, response)).chat_id == said[0]["id"]


@pytest.mark.parametrize("encrypt", [False, True])
def test_openais_client_waits_for_a_slow_stream(tmp_path, encrypt) -> None:
    held = Held()
    with a_server(tmp_path / "s", held, keep_alive_s=0.02) as server:
        threading.Timer(1.5, held.may_go_on.set).start()
        # It gives up where nothing comes for so long, and not where it takes longer.
        options = {"api_key": KEY, "encrypt": encrypt, "timeout": 1.0, "max_retries": 0}
        with infer.client(server.url, policy=ALLOWED, **options) as client:
            stream = client.chat.completions.create(**STREAMED)
            assert "".join(one.choices[0].delta.content or "" for one in stream) == "Hello wörld"
            assert client.last_receipt.verify().model == CHAT_MODEL


@pytest.mark.parametrize("encrypt", [False, True])
def test_who_reads_a_stream_that_fails_is_told_and_has_its_receipt(tmp_path, encrypt) -> None:
    with a_server(tmp_path / "s", Dying()) as server:
        options = {"api_key": KEY, "encrypt": encrypt, "max_retries": 0}
        with infer.client(server.url, policy=ALLOWED, **options) as client:
            heard = []
            stream = client.chat.completions.create(**STREAMED)
            with pytest.raises(openai.APIError, match="process ended"):
                heard.extend(one.choices[0].delta.content for one in stream)
            assert "".join(text or "" for text in heard) == "Hello "
            assert client.last_receipt.verify().model == CHAT_MODEL
            with pytest.raises(openai.InternalServerError, match="process ended"):
                client.chat.completions.create(**ASKED)


async def test_what_a_model_refuses_late_is_in_the_stream(tmp_path) -> None:
    class Refusing(Held):
        def chat(self, request, on_text):
            self.may_go_on.wait(10)
            raise ModelEnded("it ended")

    model = Refusing()
    async with served(tmp_path / "s", model, keep_alive_s=0.02) as app, a_client(app) as client:
        sent, response = await ask_slow(client, model, 0.5)
        *_, told, last = response.text.split("\n\n")[:-1]
        assert json.loads(told.removeprefix("data: "))["error"]["message"] == "it ended"
        assert last == "data: [DONE]"
        assert (await verify(client, sent, response)).is_refusal


@pytest.mark.parametrize(
    ("model", "is_stream", "cost_wei"),
    [
        (Scripted, False, 5 * 2 + 3 * 3),
        (Scripted, True, 5 * 2 + 3 * 3),
        (Dying, False, 0),
        (Dying, True, 0),
    ],
)
async def test_what_failed_costs_nothing(tmp_path, model, is_stream, cost_wei) -> None:
    ledger = Ledger()
    meter = Meter(ledger, PRICES, 100)
    async with served(tmp_path / "s", model(), meter=meter) as app, a_client(app) as client:
        await client.post("/v1/chat/completions", json=ASKED | {"stream": is_stream})
        epoch = await meter.commit()
    charged = () if epoch is None else epoch.charges
    assert charged == (((sha256(KEY.encode()), cost_wei),) if cost_wei else ())


@pytest.mark.long
def test_a_whole_answer_that_nobody_waits_for_is_left_and_free(tmp_path) -> None:
    chatty, ledger = Chatty(), Ledger()
    meter = Meter(ledger, PRICES, 100)
    with a_server(tmp_path / "s", chatty, meter=meter) as server:
        place, headers = f"{server.url}/v1/chat/completions", {"authorization": f"Bearer {KEY}"}
        asked = ASKED | {"messages": [{"role": "user", "content": "endless"}]}
        with pytest.raises(httpx2.ReadTimeout):
            httpx2.post(place, json=asked, headers=headers, timeout=0.3)
        assert chatty.was_left.wait(10)
        assert httpx2.post(place, json=ASKED, headers=headers).status_code == 200
    assert asyncio.run(meter.commit()).charges == ((sha256(KEY.encode()), 5 * 2 + 3 * 3),)
