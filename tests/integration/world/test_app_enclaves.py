"""Enclaves of attested apps on a whole network, with honest hosts and with others."""

import random
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from qanat.rofl.secrets import seal_secret
from services.worker.enclave.errors import (
    KeyManagerUnknown,
    NoKeys,
    NotAsked,
    OtherApp,
    RecordUnproven,
)
from services.worker.enclave.protocol import (
    CallKey,
    FeeTerms,
    WorkerEnclaveApi,
)
from shared.crypto.signing import BadSignature, Signature, Signer
from shared.enclave.program import ChainUnknown
from shared.encoding import cbor
from shared.encoding.contract import methods_of, serve_call_now
from shared.errors import QanatError, RuntimeRejected
from shared.rules import state_keys
from shared.rules.key_ids import transaction_key_id
from shared.rules.key_policy import PUBLIC_KEY, PublicKeyExpired, public_key_body
from shared.types.app_secrets import encode_envelope
from shared.types.identity import Epoch
from shared.types.keymanager import SignedPublicKey
from tests.integration.world.test_back_in_time import next_epoch
from tests.integration.world.test_world import in_a_world
from tests.support.apps_enclave import Replica, worker_policy
from tests.support.attested_apps import Client, create_app, fund, node_address
from tests.support.keymanager import PARATIME_ID
from tests.support.world import World


async def set_secrets(client: Client, app: bytes, secrets: dict[str, bytes]) -> None:
    found = await client.query("rofl.App", {"id": app})
    body = {"id": app, "secrets": secrets, "metadata": {}}
    changed = await client.send("rofl.Update", body | {k: found[k] for k in ("policy", "admin")})
    assert changed.error is None, changed


async def make_app(client: Client) -> bytes:
    app = await create_app(client, **worker_policy())
    await fund(client, node_address("compute-0"))
    return app


def test_replicas_have_one_key_and_the_secrets_and_lose_both_with_the_app():
    async def test(world: World) -> None:
        client = Client(world)
        app = await make_app(client)
        one, two = Replica(client, "one"), Replica(client, "two", "compute-1")
        await fund(client, node_address("compute-1"))
        sek = (await client.query("rofl.App", {"id": app}))["sek"]
        await set_secrets(
            client,
            app,
            {
                "API.KEY": encode_envelope(seal_secret("API.KEY", b"hush", sek)),
                "X": encode_envelope(seal_secret("X", b"y", b"\x09" * 32)),
                "PATH": encode_envelope(seal_secret("PATH", b"/evil", sek)),
                "x": b"\0",
            },
        )
        for replica in (one, two):
            assert (await replica.register(app)).error is None
            state = await replica.begin(app)
            assert state.expiration == world.epoch + 2
        assert one.app.unpacked is not None
        assert one.app.variables == {"API_KEY": "hush"}
        first, second = one.daemon.instance, two.daemon.instance
        assert first is not None
        assert second is not None
        assert first.root_key == second.root_key
        assert first.instance_id != second.instance_id
        assert one.described.signer != two.described.signer

        # Renewed, it goes on as it is.
        assert (await one.register(app)).error is None
        await one.begin(app)
        assert one.daemon.instance is first
        assert one.app.variables == {"API_KEY": "hush"}

        removed = await client.send("rofl.Remove", {"id": app})
        assert removed.error is None
        # Nobody pays for it any more, and it pays in vain.
        derivation, _ = one.program.sign_derivations(await one.terms(), await one.call_key())
        assert await client.refusal(derivation) == ("core", 10)
        for _ in range(2):
            await next_epoch(world)
        assert two.daemon.instance is not None
        assert (await two.synchronize()).expiration is not None
        await next_epoch(world)
        state = await two.synchronize()
        assert (state.expiration, state.app) == (None, None)
        assert (two.daemon.instance, two.app.variables) == (None, None)
        with pytest.raises(NoKeys):
            _ = two.program.app_id

    in_a_world(test)


def test_a_host_makes_no_keys_of_its_own():
    async def test(world: World) -> None:
        client = Client(world)
        app = await make_app(client)
        one, two = Replica(client, "one"), Replica(client, "two")
        with pytest.raises(ChainUnknown):
            one.program.attest(one.node.public_key)
        assert (await one.register(app)).error is None
        assert (await two.register(app)).error is None
        genuine, terms = await one.call_key(), await one.terms()
        record = await one.prove_record(app)

        # A key that the host knows, signed by itself, or a genuine one of another epoch.
        own = Signer(b"\x07" * 32)
        id_ = transaction_key_id(PARATIME_ID, world.genesis.chain_context(), genuine.epoch)
        body = public_key_body(
            b"\x08" * 32, genuine.key.checksum, PARATIME_ID, id_, genuine.epoch, None
        )
        forged = SignedPublicKey(
            b"\x08" * 32, genuine.key.checksum, own.sign(PUBLIC_KEY.anywhere(), body)
        )
        for key in (
            CallKey(genuine.epoch, forged),
            CallKey(genuine.epoch, replace(genuine.key, key=b"\x08" * 32)),
            CallKey(Epoch(genuine.epoch + 1), genuine.key),
            CallKey(genuine.epoch, replace(genuine.key, expiration=Epoch(10**6))),
        ):
            with pytest.raises(BadSignature):
                one.program.sign_derivations(terms, key)
        with pytest.raises(PublicKeyExpired):
            one.program.sign_derivations(
                terms, CallKey(genuine.epoch, replace(genuine.key, expiration=Epoch(0)))
            )
        with pytest.raises(NotAsked):
            one.program.begin(b"", b"", record)

        # Answers to somebody else, in the other order, in the clear, or a second time.
        foreign = await two.derive()
        await one.derive()
        with pytest.raises(RuntimeRejected, match="does not open"):
            one.program.begin(*foreign, record)
        mine = await one.derive()
        with pytest.raises(RuntimeRejected, match="does not open"):
            one.program.begin(mine[1], mine[0], record)
        # A record that proves nothing, another app's, or the app's of another round.
        other = await create_app(client, **worker_policy())
        for wrong in (b"", record[:-1], await one.prove_record(other)):
            mine = await one.derive()
            with pytest.raises(RecordUnproven):
                one.program.begin(*mine, wrong)
        await set_secrets(client, app, {"forged": b"x"})
        mine = await one.derive()
        await one.synchronize()
        with pytest.raises(RecordUnproven):
            one.program.begin(*mine, record)
        plain = cbor.encode({"ok": {"key": b"k" * 32}})
        await one.derive()
        with pytest.raises(RuntimeRejected, match="not sealed"):
            one.program.begin(plain, plain, record)
        assert one.daemon.instance is None
        assert one.app.variables is None
        mine = await one.derive()
        one.program.begin(*mine, await one.prove_record(app))
        with pytest.raises(NotAsked):
            one.program.begin(*mine, record)

        # It speaks for one app, for ever.
        with pytest.raises(OtherApp):
            await one.register(bytes(21))

    in_a_world(test)


def test_nothing_is_sealed_before_a_key_manager_is_proven():
    async def test(world: World) -> None:
        client = Client(world)
        app = await make_app(client)
        one = Replica(client, "one")
        with pytest.raises(NoKeys):
            one.program.sign_derivations(await one.terms(), await one.call_key())
        assert (await one.register(app)).error is None
        one.program._chain_keys._rsk = None
        with pytest.raises(KeyManagerUnknown):
            await one.derive()

    in_a_world(test)


def test_a_later_life_of_the_chain_takes_the_registration_back():
    async def test(world: World) -> None:
        client = Client(world)
        app = await make_app(client)
        one = Replica(client, "one")
        assert (await one.register(app)).error is None
        await one.begin(app)
        one.program.enter_incarnation(one.program.latest, one.program.latest.incarnation)
        assert one.daemon.instance is None
        assert one.program.fetch_state().expiration is None

    in_a_world(test)


def test_no_message_meets_a_bug():
    async def test(world: World) -> None:
        client = Client(world)
        app = await make_app(client)
        one = Replica(client, "one")
        chance = random.Random("messages to an app's enclave")
        await throw_at(one, chance, app)
        assert (await one.register(app)).error is None
        await throw_at(one, chance, app)
        await one.begin(app)
        await throw_at(one, chance, app)

    in_a_world(test)


async def throw_at(one: Replica, chance: random.Random, app: bytes) -> None:
    """Send an enclave every message, with arguments that are right, and with others."""
    proven = await one.client.world.client.fetch_proven_state((state_keys.CHAIN_CONTEXT,))
    terms = FeeTerms((2**63 - 1, chance.randrange(2**63)), 2**63 - 1)
    key = await one.call_key()
    arguments: dict[str, list[tuple[Any, ...]]] = {
        "describe": [()],
        "synchronize": [(proven,), (replace(proven, items=()),)],
        "attest": [(bytes(32),)],
        "sign_registration": [
            (chance.choice((app, bytes(21))), epochs, Signature(bytes(32), bytes(64)), b"", terms)
            for epochs in (0, 1, 2**63)
        ],
        "sign_derivations": [(terms, key), (terms, CallKey(Epoch(2**64 - 1), key.key))],
        "begin": [
            (chance.randbytes(chance.randrange(64)), chance.randbytes(8), secrets)
            for secrets in (b"", chance.randbytes(40))
        ]
        + [(cbor.encode(answer), cbor.encode(answer), b"") for answer in ANSWERS],
        "halt": [()],
        "fetch_state": [()],
        "fetch_logs": [()],
    }
    assert set(arguments) == set(methods_of(WorkerEnclaveApi))
    calls = [(name, given) for name, listed in arguments.items() for given in listed]
    for _ in range(20):
        name, given = chance.choice(calls)
        raw = methods_of(WorkerEnclaveApi)[name].encode_arguments(given, {})
        spoilt = bytearray(raw)
        if spoilt and chance.random() < 0.5:
            spoilt[chance.randrange(len(spoilt))] ^= 1 << chance.randrange(8)
        with suppress(QanatError):
            serve_call_now(WorkerEnclaveApi, one.program, name, bytes(spoilt))
    for name, given in calls:
        raw = methods_of(WorkerEnclaveApi)[name].encode_arguments(given, {})
        with suppress(QanatError):
            serve_call_now(WorkerEnclaveApi, one.program, name, raw)


ANSWERS: tuple[Any, ...] = (
    {},
    {"ok": 1},
    {"fail": {}},
    {"fail": {"module": 1, "code": "x"}},
    {"unknown": b""},
    {"unknown": {"nonce": bytes(15), "data": b"x"}},
    [1],
    None,
)
