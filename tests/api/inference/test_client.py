"""OpenAI's client against the service: as it is, and with the verifying transport."""

import json

import httpx2
import openai
import pytest
from typer.testing import CliRunner

from apps.inference.errors import (
    E2eeDecryptionFailed,
    MeasurementRefused,
    MockRefused,
    NoReceipt,
    ResponseMismatch,
)
from apps.inference.models.answered import Answered
from qanat.ai import infer
from qanat.cli import app as command_line
from tests.support.inference import KEY, MODELS, OTHER_KEY, Scripted, a_server

CHAT_MODEL, EMBEDDING_MODEL = MODELS
QUESTION = [{"role": "user", "content": "canary-7f3a"}]
ALLOWED = infer.Policy(allow_mock=True)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with a_server(tmp_path_factory.mktemp("inference") / "appd.sock") as known:
        yield known


def ask(client, **options):
    return client.chat.completions.create(model=CHAT_MODEL, messages=QUESTION, **options)


def test_unmodified_client_buffered_streamed_and_the_rest(server) -> None:
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=KEY, max_retries=0) as client:
        answer = ask(client, temperature=0)
        assert answer.choices[0].message.content == "Hello wörld"
        with ask(client, stream=True) as stream:
            pieces = [one.choices[0].delta.content or "" for one in stream]
        assert "".join(pieces) == "Hello wörld"
        assert client.completions.create(model=CHAT_MODEL, prompt="x").choices[0].text
        found = client.embeddings.create(model=EMBEDDING_MODEL, input="abc")
        assert found.data[0].embedding == [3.0, 0.5]
        assert [one.id for one in client.models.list()] == list(MODELS)
        with pytest.raises(openai.NotFoundError):
            client.chat.completions.create(model="gpt-9", messages=QUESTION)
    stranger = openai.OpenAI(base_url=f"{server.url}/v1", api_key="sk-no", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        ask(stranger)


@pytest.mark.parametrize("encrypt", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_verifying_client_is_the_same_to_use(server, tmp_path, encrypt, stream) -> None:
    with infer.client(server.url, policy=ALLOWED, api_key=KEY, encrypt=encrypt) as client:
        answer = ask(client, stream=stream)
        if stream:
            with pytest.raises(NoReceipt):
                _ = client.last_receipt
            assert "".join(one.choices[0].delta.content or "" for one in answer) == "Hello wörld"
        else:
            assert answer.choices[0].message.content == "Hello wörld"
        receipt = client.last_receipt
        assert receipt.verify().model == CHAT_MODEL
        receipt.save(tmp_path / "exchange.json")
    named = ["verify", "receipt", str(tmp_path / "exchange.json"), "--allow-mock", "--json"]
    shown = CliRunner().invoke(command_line, named)
    assert json.loads(shown.stdout)["bodies_verified"] is True
    assert (tmp_path / "exchange.json").stat().st_mode & 0o777 == 0o600


def test_embeddings_are_encrypted_too(server) -> None:
    with infer.client(server.url, policy=ALLOWED, api_key=KEY) as client:
        found = client.embeddings.create(model=EMBEDDING_MODEL, input=["abc", "d"])
        assert [one.embedding for one in found.data] == [[3.0, 0.5], [1.0, 0.5]]
        client.last_receipt.verify()


def test_nothing_is_sent_to_a_service_that_is_not_accepted(server) -> None:
    asked = len(server.scripted.asked)
    with pytest.raises(MockRefused):
        infer.client(server.url, api_key=KEY)
    other = infer.Policy(allow_mock=True, measurements=frozenset({"00" * 48}))
    with pytest.raises(MeasurementRefused):
        infer.client(server.url, policy=other, api_key=KEY)
    assert len(server.scripted.asked) == asked


class Liar(httpx2.BaseTransport):
    """Stands between, and changes answers."""

    def __init__(self, change):
        self._inner, self.change, self.seen = httpx2.HTTPTransport(), change, bytearray()

    def handle_request(self, request):
        response = self._inner.handle_request(request)
        self.seen += request.read()
        content = response.read()
        self.seen += content
        response.close()
        if request.url.path.endswith("/completions"):
            content = self.change(content)
        return httpx2.Response(response.status_code, headers=response.headers, content=content)

    def close(self):
        self._inner.close()


def through(liar, url, encrypt):
    transport = infer.VerifyingTransport(ALLOWED, encrypt=encrypt, inner=liar)
    client = openai.OpenAI(
        base_url=f"{url}/v1",
        api_key=KEY,
        max_retries=0,
        http_client=httpx2.Client(transport=transport),
    )
    return client, transport


def test_who_stands_between_sees_nothing_and_changes_nothing(server) -> None:
    liar = Liar(lambda content: content)
    client, _ = through(liar, server.url, encrypt=True)
    with client:
        assert ask(client).choices[0].message.content == "Hello wörld"
        assert b"canary-7f3a" not in liar.seen
        assert b"Hello" not in liar.seen
        liar.change = lambda content: content.replace(b'content":"', b'content":"0', 1)
        with pytest.raises(E2eeDecryptionFailed):
            ask(client)
    # The control: without encryption all of it is seen, and a change shows in the receipt alone.
    plain, transport = through(liar, server.url, encrypt=False)
    with plain:
        assert ask(plain).choices[0].message.content == "0Hello wörld"
        assert b"canary-7f3a" in liar.seen
        with pytest.raises(ResponseMismatch):
            transport.last_receipt().verify()


class Endless(Scripted):
    """Talks until somebody stops it."""

    def chat(self, request, on_text):
        self.asked.append(request)
        written = 1
        while request["messages"][0]["content"] == "endless" and not on_text("x"):
            written += 1
        return Answered("stop", 5, written)


def test_who_leaves_a_stream_stops_it_and_has_a_receipt(tmp_path) -> None:
    with a_server(tmp_path / "a.sock", Endless()) as server:
        asked = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "endless"}]}
        headers = {"authorization": f"Bearer {KEY}"}
        place = f"{server.url}/v1/chat/completions"
        with httpx2.stream("POST", place, json=asked | {"stream": True}, headers=headers) as one:
            next(one.iter_bytes())
        # The model is free again for the next one.
        other = asked | {"messages": QUESTION}
        assert httpx2.post(place, json=other, headers=headers).status_code == 200
        receipt = f"{server.url}/v1/aci/receipts/{one.headers['x-receipt-id']}"
        found = httpx2.get(receipt, headers=headers)
        assert found.json()["event_log"][-1]["type"] == "response.returned"


def test_client_follows_a_service_that_began_anew(tmp_path) -> None:
    with a_server(tmp_path / "a.sock") as first, a_server(tmp_path / "b.sock") as second:
        urls = [first.url]

        class Moving(Liar):
            def handle_request(self, request):
                port = int(urls[-1].rsplit(":", 1)[1])
                moved = httpx2.Request(
                    request.method,
                    request.url.copy_with(port=port),
                    headers=request.headers,
                    content=request.read(),
                )
                return super().handle_request(moved)

        client, transport = through(Moving(lambda content: content), first.url, encrypt=True)
        with client:
            ask(client)
            urls.append(second.url)
            assert ask(client).choices[0].message.content == "Hello wörld"
            transport.last_receipt().verify()


def test_receipts_of_others_are_not_given(server) -> None:
    with infer.client(server.url, policy=ALLOWED, api_key=KEY) as ana:
        ask(ana)
        receipt_id = ana.last_receipt.exchange.headers["x-receipt-id"]
    headers = {"authorization": f"Bearer {OTHER_KEY}"}
    place = f"{server.url}/v1/aci/receipts/{receipt_id}"
    assert httpx2.get(place, headers=headers).status_code == 404
