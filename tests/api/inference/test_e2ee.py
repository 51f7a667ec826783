"""E2EE version 2: what is opened, what is sealed, and the ten refusals by their names."""

import json
import random

import pytest

from apps.inference.client.session import ClientChannel, Established
from apps.inference.documents.canonical import read_document
from apps.inference.e2ee import suites
from apps.inference.e2ee.fields import CHAT, COMPLETIONS, EMBEDDINGS, compact
from apps.inference.e2ee.gate import HEADERS, SKEW_S
from apps.inference.serve.service import serving
from apps.inference.verify.policy import Policy
from apps.inference.verify.receipt import verify_receipt
from apps.inference.verify.report import verify_report
from tests.support.inference import HASHES, MODELS, NONCE, NOW_S, Scripted, a_client, daemon, served

CHAT_MODEL, EMBEDDING_MODEL = MODELS
ASKED = {"model": CHAT_MODEL, "messages": [{"role": "user", "content": "a secret question"}]}
BODIES = {
    CHAT: ASKED,
    COMPLETIONS: {"model": CHAT_MODEL, "prompt": "a secret question"},
    EMBEDDINGS: {"model": EMBEDDING_MODEL, "input": ["a secret question", "b"]},
}


async def established(client):
    raw = (await client.get(f"/v1/aci/attestation?nonce={NONCE}")).content
    report = read_document(raw)
    policy = Policy(allow_mock=True)
    return Established(
        verify_report(report, nonce=NONCE, policy=policy, now_s=NOW_S), report, NONCE
    )


async def sealed(client, endpoint=CHAT, asked=ASKED, now_s=NOW_S):
    """A channel, its body, and its headers."""
    channel = ClientChannel.open(await established(client), asked.get("model"), now_s)
    return channel, channel.seal(endpoint, json.loads(json.dumps(asked))), channel.headers


def kind_of(response):
    assert response.status_code == 400, response.text
    return response.json()["error"]["type"]


@pytest.mark.parametrize("suite", suites.ALGORITHMS)
@pytest.mark.parametrize("endpoint", [CHAT, COMPLETIONS, EMBEDDINGS])
async def test_buffered_answers_are_sealed_to_the_client(
    tmp_path, monkeypatch, suite, endpoint
) -> None:
    monkeypatch.setattr("apps.inference.client.session.ALGORITHMS", (suite,))
    scripted = Scripted()
    async with served(tmp_path / "appd.sock", scripted) as app, a_client(app) as client:
        channel, body, headers = await sealed(client, endpoint, BODIES[endpoint])
        assert b"secret" not in body
        response = await client.post(endpoint, content=body, headers=headers)
        assert response.status_code == 200, response.text
        assert response.headers["x-e2ee-algo"] == suite
        assert "Hello" not in response.text
        assert "a secret question" in json.dumps(scripted.asked)
        plain = json.loads(channel.open_answer(endpoint, response.content))
        if endpoint == EMBEDDINGS:
            assert [one["embedding"] for one in plain["data"]] == [[17.0, 0.5], [1.0, 0.5]]
        else:
            assert "Hello wörld" in json.dumps(plain, ensure_ascii=False)
        receipt = await client.get(f"/v1/aci/receipts/{response.headers['x-receipt-id']}")
        verify_receipt(
            read_document(receipt.content),
            (await established(client)).service,
            request=compact(BODIES[endpoint]),
            response=response.content,
            headers=dict(response.headers),
        )


async def test_each_piece_of_a_stream_is_sealed(tmp_path) -> None:
    async with served(tmp_path / "appd.sock") as app, a_client(app) as client:
        channel, body, headers = await sealed(client, asked=ASKED | {"stream": True})
        response = await client.post(CHAT, content=body, headers=headers)
        assert not any(piece in response.text for piece in ("Hel", "lo ", "wörld"))
        lines = [channel.open_line(CHAT, one + b"\n") for one in response.content.split(b"\n")]
        pieces = [json.loads(one[6:]) for one in lines if one.startswith(b"data: {")]
        texts = [one["choices"][0]["delta"].get("content", "") for one in pieces]
        assert "".join(texts) == "Hello wörld"


async def test_structured_content_is_restored(tmp_path) -> None:
    scripted = Scripted()
    asked = ASKED | {"messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]}
    async with served(tmp_path / "appd.sock", scripted) as app, a_client(app) as client:
        _, body, headers = await sealed(client, asked=asked)
        assert (await client.post(CHAT, content=body, headers=headers)).status_code == 200
        assert scripted.asked[0]["messages"] == [{"role": "user", "content": "hi"}]


@pytest.mark.parametrize(
    ("header", "value", "kind"),
    [
        ("x-e2ee-version", "3", "e2ee_invalid_version"),
        ("x-client-pub-key", "00" * 32, "e2ee_invalid_public_key"),
        ("x-client-pub-key", "zz", "e2ee_invalid_public_key"),
        ("x-model-pub-key", "11" * 32, "e2ee_model_key_mismatch"),
        ("x-e2ee-nonce", "0x" + "11" * 31, "e2ee_invalid_nonce"),
        ("x-e2ee-nonce", "11" * 31, "e2ee_invalid_nonce"),
        ("x-e2ee-timestamp", "soon", "e2ee_invalid_timestamp"),
        ("x-e2ee-timestamp", "-1", "e2ee_invalid_timestamp"),
        ("x-e2ee-nonce", "22" * 32, "e2ee_decryption_failed"),
        ("x-e2ee-timestamp", str(NOW_S + 1), "e2ee_decryption_failed"),
    ],
)
async def test_each_bad_header_is_refused_by_name(tmp_path, header, value, kind) -> None:
    scripted = Scripted()
    async with served(tmp_path / "appd.sock", scripted) as app, a_client(app) as client:
        _, body, headers = await sealed(client)
        response = await client.post(CHAT, content=body, headers=headers | {header: value})
        assert kind_of(response) == kind
        assert "x-receipt-id" in response.headers
        assert scripted.asked == []


@pytest.mark.parametrize("header", HEADERS)
async def test_each_missing_header_is_refused(tmp_path, header) -> None:
    async with served(tmp_path / "appd.sock") as app, a_client(app) as client:
        _, body, headers = await sealed(client)
        del headers[header]
        response = await client.post(CHAT, content=body, headers=headers)
        assert kind_of(response) == "e2ee_header_missing"


async def test_skew_and_replay_are_refused(tmp_path) -> None:
    now = [NOW_S]
    async with served(tmp_path / "appd.sock", now_s=lambda: now[0]) as app, a_client(app) as client:
        for off, status in ((SKEW_S, 200), (-SKEW_S, 200), (SKEW_S + 1, 400), (-SKEW_S - 1, 400)):
            _, body, headers = await sealed(client, now_s=NOW_S + off)
            response = await client.post(CHAT, content=body, headers=headers)
            assert response.status_code == status
            if status == 400:
                assert kind_of(response) == "e2ee_invalid_timestamp"
        _, body, headers = await sealed(client, now_s=NOW_S + SKEW_S)
        assert (await client.post(CHAT, content=body, headers=headers)).status_code == 200
        # Once more, as long as its time is good; the nonce's case makes it no other.
        for later in (0, 2 * SKEW_S):
            now[0] = NOW_S + later
            again = headers | {"x-e2ee-nonce": headers["x-e2ee-nonce"].upper()}
            for one in (headers, again):
                kind = kind_of(await client.post(CHAT, content=body, headers=one))
                assert kind in ("e2ee_replay_detected", "e2ee_decryption_failed")
            assert kind_of(await client.post(CHAT, content=body, headers=headers)) == (
                "e2ee_replay_detected"
            )


async def test_a_new_process_signs_as_before_and_opens_nothing_older(tmp_path) -> None:
    path, scripted = tmp_path / "appd.sock", Scripted()
    services = []
    async with daemon(path):
        for _ in range(2):
            async with (
                serving(path, HASHES, load=scripted.models, now_s=lambda: NOW_S) as app,
                a_client(app) as client,
            ):
                known = await established(client)
                services.append(known.service.keyset)
                assert len(known.report["attestation"]["evidence"]["event_log"]) == 1
                if len(services) == 1:
                    _, body, headers = await sealed(client)
                else:
                    response = await client.post(CHAT, content=body, headers=headers)
                    assert kind_of(response) == "e2ee_model_key_mismatch"
    assert services[0].receipt_keys == services[1].receipt_keys
    assert set(services[0].e2ee_keys).isdisjoint(services[1].e2ee_keys)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"model": None}, "e2ee_invalid_payload_model"),
        ({"model": 7}, "e2ee_invalid_payload_model"),
        ({"model": EMBEDDING_MODEL}, "e2ee_decryption_failed"),
        ({"messages": []}, "e2ee_decryption_failed"),
        ({"messages": [{"role": "user", "content": "in plain"}]}, "e2ee_decryption_failed"),
    ],
)
async def test_each_bad_body_is_refused_by_name(tmp_path, change, kind) -> None:
    async with served(tmp_path / "appd.sock") as app, a_client(app) as client:
        _, body, headers = await sealed(client)
        changed = {
            name: one for name, one in (json.loads(body) | change).items() if one is not None
        }
        response = await client.post(CHAT, json=changed, headers=headers)
        assert kind_of(response) == kind


async def test_ciphertext_belongs_to_its_place(tmp_path) -> None:
    two = [{"role": "user", "content": "first"}, {"role": "user", "content": "second"}]
    async with served(tmp_path / "appd.sock") as app, a_client(app) as client:
        _, body, headers = await sealed(client, asked=ASKED | {"messages": two})
        swapped = json.loads(body)
        swapped["messages"].reverse()
        response = await client.post(CHAT, json=swapped, headers=headers)
        assert kind_of(response) == "e2ee_decryption_failed"


async def test_other_routes_have_no_encrypted_form(tmp_path) -> None:
    async with served(tmp_path / "appd.sock") as app, a_client(app) as client:
        response = await client.get("/v1/models", headers={"x-e2ee-version": "2"})
        assert kind_of(response) == "e2ee_unsupported_endpoint"


async def test_each_changed_bit_of_a_field_is_refused(tmp_path) -> None:
    rng = random.Random(3)
    scripted = Scripted()
    async with served(tmp_path / "appd.sock", scripted) as app, a_client(app) as client:
        _, body, headers = await sealed(client)
        document = json.loads(body)
        good = bytes.fromhex(document["messages"][0]["content"])
        for _ in range(60):
            at = rng.randrange(len(good))
            # The last bit of a point of X25519 is none of it. Source: RFC 7748, section 5.
            bit = rng.randrange(7)
            changed = good[:at] + bytes([good[at] ^ 1 << bit]) + good[at + 1 :]
            document["messages"][0]["content"] = changed.hex()
            response = await client.post(CHAT, json=document, headers=headers)
            assert kind_of(response) == "e2ee_decryption_failed"
        assert scripted.asked == []
