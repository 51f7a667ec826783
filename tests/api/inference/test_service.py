"""OpenAI's routes and those of `aci/1`, over scripted models."""

import asyncio
import json

import pytest
from eth_account import Account
from eth_account.messages import encode_defunct
from nacl.signing import VerifyKey

from apps.inference.documents.canonical import read_document
from apps.inference.errors import BadReceiptSignature
from apps.inference.serve.requests import MAX_COMPLETION_TOKENS
from apps.inference.verify.policy import Policy
from apps.inference.verify.receipt import verify_receipt
from apps.inference.verify.report import verify_report
from shared.tee.quote import parse_quote
from tests.support.inference import KEY, MODELS, NONCE, NOW_S, OTHER_KEY, Scripted, a_client, served

CHAT_MODEL, EMBEDDING_MODEL = MODELS
ASKED = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
POLICY = Policy(allow_mock=True)


async def service_of(client):
    report = read_document((await client.get(f"/v1/aci/attestation?nonce={NONCE}")).content)
    return verify_report(report, nonce=NONCE, policy=POLICY, now_s=NOW_S)


async def receipt_of(client, response):
    answer = await client.get(f"/v1/aci/receipts/{response.headers['x-receipt-id']}")
    assert answer.status_code == 200, answer.text
    return read_document(answer.content)


async def verify(client, sent: bytes, response):
    return verify_receipt(
        await receipt_of(client, response),
        await service_of(client),
        request=sent,
        response=response.content,
        headers=dict(response.headers),
    )


async def test_buffered_answer_has_a_receipt_that_verifies(tmp_path) -> None:
    scripted = Scripted()
    async with served(tmp_path / "appd.sock", scripted) as app, a_client(app) as client:
        sent = json.dumps(ASKED).encode()
        response = await client.post("/v1/chat/completions", content=sent)
        answer = response.json()
        assert answer["choices"][0]["message"]["content"] == "Hello wörld"
        assert answer["usage"]["total_tokens"] == 8
        found = await verify(client, sent, response)
        assert (found.chat_id, found.model, found.is_refusal) == (answer["id"], CHAT_MODEL, False)
        by_chat = await client.get(f"/v1/aci/receipts/{answer['id']}")
        assert by_chat.json() == await receipt_of(client, response)
        assert scripted.asked[0]["temperature"] == 0


async def test_stream_is_hashed_with_its_framing(tmp_path) -> None:
    async with served(tmp_path / "appd.sock") as app, a_client(app) as client:
        asked = ASKED | {"stream": True, "stream_options": {"include_usage": True}}
        sent = json.dumps(asked).encode()
        response = await client.post("/v1/chat/completions", content=sent)
        lines = [line for line in response.text.split("\n\n") if line]
        assert lines[-1] == "data: [DONE]"
        pieces = [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]
        texts = [one["choices"][0]["delta"].get("content") for one in pieces if one["choices"]]
        assert "".join(text or "" for text in texts) == "Hello wörld"
        assert pieces[-1]["usage"]["completion_tokens"] == 3
        assert (await verify(client, sent, response)).chat_id == pieces[0]["id"]


async def test_completions_and_embeddings(tmp_path) -> None:
    async with served(tmp_path / "appd.sock") as app, a_client(app) as client:
        sent = json.dumps({"model": CHAT_MODEL, "prompt": "Once"}).encode()
        response = await client.post("/v1/completions", content=sent)
        assert response.json()["choices"][0]["text"] == "Hello wörld"
        await verify(client, sent, response)
        sent = json.dumps({"model": EMBEDDING_MODEL, "input": ["a", "bcd"]}).encode()
        response = await client.post("/v1/embeddings", content=sent)
        assert [one["embedding"][0] for one in response.json()["data"]] == [1.0, 3.0]
        await verify(client, sent, response)
        listed = (await client.get("/v1/models")).json()["data"]
        assert [one["id"] for one in listed] == list(MODELS)


@pytest.mark.parametrize(
    ("change", "status", "kind", "param"),
    [
        ({"model": "gpt-9"}, 404, "invalid_request_error", None),
        ({"model": EMBEDDING_MODEL}, 400, "invalid_request_error", "model"),
        ({"max_tokens": MAX_COMPLETION_TOKENS + 1}, 400, "invalid_request_error", "max_tokens"),
        ({"messages": []}, 400, "invalid_request_error", "messages"),
        ({"logit_bias": {}}, 400, "invalid_request_error", "logit_bias"),
        ({"provider": {"aci_session_ids": ["00"]}}, 412, "session_not_accepted", None),
        ({"provider": {"aci_other": 1}}, 400, "invalid_request_error", "provider.aci_other"),
    ],
)
async def test_refusals_have_openais_shape_and_a_receipt(
    tmp_path, change, status, kind, param
) -> None:
    scripted = Scripted()
    async with served(tmp_path / "appd.sock", scripted) as app, a_client(app) as client:
        sent = json.dumps(ASKED | change).encode()
        response = await client.post("/v1/chat/completions", content=sent)
        error = response.json()["error"]
        assert (response.status_code, error["type"], error["param"]) == (status, kind, param)
        assert (await verify(client, sent, response)).is_refusal
        assert scripted.asked == []


async def test_direct_service_satisfies_aci_verified(tmp_path) -> None:
    async with served(tmp_path / "appd.sock") as app, a_client(app) as client:
        asked = ASKED | {"provider": {"aci_verified": True, "order": ["x"]}}
        assert (await client.post("/v1/chat/completions", json=asked)).status_code == 200


async def test_receipt_is_readable_by_its_key_alone(tmp_path) -> None:
    async with served(tmp_path / "appd.sock") as app, a_client(app, KEY) as ana:
        response = await ana.post("/v1/chat/completions", json=ASKED)
        path = f"/v1/aci/receipts/{response.headers['x-receipt-id']}"
        for key, status, kind in ((OTHER_KEY, 404, "not_found"), (None, 401, "unauthorized")):
            async with a_client(app, key) as other:
                answer = await other.get(path)
                assert (answer.status_code, answer.json()["error"]["type"]) == (status, kind)
                signature = await other.get(f"/v1/signature/{response.json()['id']}")
                assert signature.status_code == status
        async with a_client(app, OTHER_KEY) as ben:
            missing = await ben.get("/v1/aci/receipts/rcpt-0")
            assert missing.json() == (await ben.get(path)).json()


async def test_strangers_are_refused_and_fill_no_table(tmp_path) -> None:
    async with served(tmp_path / "appd.sock") as app:
        for key in (None, "sk-nobody"):
            async with a_client(app, key) as client:
                response = await client.post("/v1/chat/completions", json=ASKED)
                assert response.status_code == 401
                assert "x-receipt-id" not in response.headers
                assert response.headers["x-aci-version"] == "aci/1"


async def test_body_over_the_limit_is_refused(tmp_path) -> None:
    async with served(tmp_path / "appd.sock") as app, a_client(app) as client:
        assert (
            await client.post("/v1/chat/completions", content=b"x" * (1 << 20) + b"x")
        ).status_code == 413


@pytest.mark.parametrize("nonce", ["", "00", "A" * 64, "g" * 64, NONCE + "00"])
async def test_malformed_nonce_is_refused(tmp_path, nonce) -> None:
    async with served(tmp_path / "appd.sock") as app, a_client(app) as client:
        for route in ("/v1/aci/attestation", "/v1/attestation/report"):
            response = await client.get(route, params={"nonce": nonce})
            assert response.status_code == 400
            assert response.json()["error"]["type"] == "invalid_request_error"


async def test_older_family_signs_both_hashes_and_binds_its_address(tmp_path) -> None:
    async with served(tmp_path / "appd.sock") as app, a_client(app) as client:
        sent = json.dumps(ASKED).encode()
        response = await client.post("/v1/chat/completions", content=sent)
        chat_id = response.json()["id"]
        signed = (await client.get(f"/v1/signature/{chat_id}")).json()
        signer = Account.recover_message(
            encode_defunct(text=signed["text"]), signature=signed["signature"]
        )
        assert signer.lower() == signed["signing_address"]
        receipt = await receipt_of(client, response)
        hashes = [event["body_hash"].removeprefix("sha256:") for event in receipt["event_log"]]
        assert signed["text"] == f"{hashes[0]}:{hashes[-1]}"
        report = (await client.get(f"/v1/attestation/report?nonce={NONCE}")).json()
        data = parse_quote(bytes.fromhex(report["intel_quote"])).report_data
        address = bytes.fromhex(signed["signing_address"][2:])
        assert data == address.ljust(32, b"\0") + bytes.fromhex(NONCE)
        ed25519 = (await client.get(f"/v1/signature/{chat_id}?signing_algo=ed25519")).json()
        VerifyKey(bytes.fromhex(ed25519["signing_address"])).verify(
            ed25519["text"].encode(), bytes.fromhex(ed25519["signature"])
        )


async def test_answers_of_many_at_once_do_not_mix(tmp_path) -> None:
    class Echo(Scripted):
        def chat(self, request, on_text):
            self.pieces = tuple(request["messages"][-1]["content"])
            return super().chat(request, on_text)

    async with served(tmp_path / "appd.sock", Echo()) as app, a_client(app) as client:

        async def ask(number):
            text = f"question {number}"
            asked = ASKED | {"messages": [{"role": "user", "content": text}]}
            sent = json.dumps(asked).encode()
            response = await client.post("/v1/chat/completions", content=sent)
            assert response.json()["choices"][0]["message"]["content"] == text
            await verify(client, sent, response)

        await asyncio.gather(*(ask(number) for number in range(12)))


async def test_another_service_cannot_sign_for_this_one(tmp_path) -> None:
    async with served(tmp_path / "appd.sock") as app, a_client(app) as client:
        response = await client.post("/v1/chat/completions", json=ASKED)
        receipt = await receipt_of(client, response)
        with pytest.raises(BadReceiptSignature):
            verify_receipt(receipt | {"model": "other"}, await service_of(client))
