"""Attested apps on a whole network: they are made, register by evidence, get keys, and end."""

import random
import re
from dataclasses import replace
from typing import Any

import cbor2
import pytest
from eth_abi import decode
from eth_account import Account
from evm_native import x25519_public
from web3 import Web3

from shared.crypto.address import address_of, ethereum_address
from shared.encoding import cbor
from shared.rules.app_ids import app_id_by_nonce
from shared.rules.attested_apps import InstanceJudge
from shared.types.proof import Validator
from shared.types.sdk_transaction import Call
from tests.integration.world.test_world import in_a_world
from tests.support import mock_tee
from tests.support.attested_apps import (
    OASIS_SEK,
    OTHER_CODE,
    RICH,
    TOKEN,
    Client,
    Ed25519Key,
    EthereumKey,
    Instance,
    create_app,
    fund,
    node_address,
    policy,
)
from tests.support.module_calls import FORWARD, asked, init_code
from tests.support.world import World
from tests.support.world_genesis import identity_of

POOL = address_of(b"oasis-runtime-sdk/address: module", b"rofl.app-stake-pool")
EXTRA = EthereumKey(b"\x45" * 32)
STAKE = 100 * TOKEN


def test_an_app_is_made_changed_and_removed_and_its_stake_comes_back():
    async def test(world: World) -> None:
        client = Client(world)
        created = await client.send(
            "rofl.Create", {"policy": policy(), "scheme": 1, "metadata": {"a": "b"}}
        )
        app = created.value
        # As upstream the nonce is already that of the next transaction.
        assert app == app_id_by_nonce(RICH.address, 1)
        assert created.record["events"] == [
            [b"rofl\0\0\0\1", cbor2.dumps({"id": app}, canonical=True)]
        ]
        assert await client.balance(POOL) == STAKE
        found = await client.query("rofl.App", {"id": app})
        assert found["admin"] == RICH.address
        assert (found["policy"], found["metadata"]) == (policy(), {"a": "b"})
        assert await client.query("rofl.Apps") == [found]
        change = {"id": app, "policy": policy(), "admin": RICH.address, "secrets": {"k": b"v"}}
        stranger = Ed25519Key("stranger")
        await fund(client, stranger.address)
        for method, body in (("rofl.Update", change), ("rofl.Remove", {"id": app})):
            refused = await client.send(method, body, stranger)
            assert refused.error == ("rofl", 11)
        assert (await client.send("rofl.Update", change)).error is None
        assert (await client.query("rofl.App", {"id": app}))["secrets"] == {"k": b"v"}
        assert (await client.send("rofl.Remove", {"id": app})).error is None
        assert await client.balance(POOL) == 0
        assert await client.query("rofl.Apps") == []
        assert (await client.send("rofl.Remove", {"id": app})).error == ("rofl", 2)

    in_a_world(test)


def test_an_instance_registers_gets_keys_and_its_node_pays():
    async def test(world: World) -> None:
        client = Client(world)
        app = await create_app(client)
        await fund(client, node_address("compute-0"))
        one = Instance(client, app, extra=(EXTRA,))
        two = one.but(name="another instance", node="compute-0", extra=())
        before = await client.balance(node_address("compute-0"))
        registered = await one.register()
        assert registered.error is None, registered
        assert await client.balance(one.rak.address) == 0
        assert await client.balance(node_address("compute-0")) < before
        shown = await client.query("rofl.AppInstance", {"app": app, "rak": one.rak.named})
        assert shown["node_id"] == identity_of("compute-0").node.public_key
        assert shown["entity_id"] == identity_of("compute-0").entity.public_key
        assert (await two.register()).error is None
        assert len(await client.query("rofl.AppInstances", {"id": app})) == 2

        key = (await one.derive()).value["key"]
        assert len(key) == 32
        # Equal for each key of the instance and for each instance of the app, and for nobody else.
        assert (await one.derive(by=EXTRA)).value["key"] == key
        assert (await two.derive()).value["key"] == key
        for other in ({"key_id": b"b"}, {"kind": 1}, {"scope": 1}, {"scope": 2}):
            assert (await one.derive(**other)).value["key"] != key
        sek = (await one.derive(kind=1, key_id=OASIS_SEK)).value["key"]
        app_ = await client.query("rofl.App", {"id": app})
        assert x25519_public(sek) == app_["sek"]
        # What is derived is seen by no host: the record has ciphertext only.
        for name in world.compute:
            feed = world.nodes[name].feed
            blocks = [feed.find(number) for number in range(feed.next_round)]
            assert not any(key in result or sek in result for b in blocks for result in b.results)
            assert not any(key in raw for block in blocks for raw in block.transactions)

    in_a_world(test)


def test_a_contract_knows_which_app_sent_the_transaction():
    async def test(world: World) -> None:
        client = Client(world)
        app, other = await create_app(client), await create_app(client)
        await fund(client, node_address("compute-0"))
        code = init_code(FORWARD)
        forward = (await client.send("evm.Create", {"value": b"", "init_code": code})).value

        async def ask(method: str, body: Any, by: EthereumKey, **options: Any) -> Any:
            call = {"address": forward, "value": b"", "data": asked(method, body)}
            sent = await client.send("evm.Call", call, by, **options)
            assert sent.error is None, sent
            status, data = decode(["uint64", "bytes"], sent.value)
            return cbor2.loads(data) if status == 0 else (data.decode(), status)

        assert await ask("rofl.IsAuthorizedOrigin", app, RICH) is False
        assert await ask("rofl.OriginApp", None, RICH) == ("rofl", 12)
        assert (await Instance(client, app, extra=(EXTRA,)).register()).error is None
        # The node pays for the instance, whose key has nothing.
        assert await ask("rofl.IsAuthorizedOrigin", app, EXTRA, proxy=app) is True
        assert await ask("rofl.IsAuthorizedOrigin", other, EXTRA, proxy=app) is False
        assert await ask("rofl.OriginApp", None, EXTRA, proxy=app) == app
        node = identity_of("compute-0")
        owner = await ask("rofl.AuthorizedOriginNode", app, EXTRA, proxy=app)
        assert owner == node.node.public_key
        owner = await ask("rofl.AuthorizedOriginEntity", app, EXTRA, proxy=app)
        assert owner == node.entity.public_key
        # The same key by a transaction of Ethereum's format.
        await fund(client, EXTRA.address)
        raw = Account.sign_transaction(
            {
                "to": Web3.to_checksum_address(forward),
                "value": 0,
                "gas": 300_000,
                "gasPrice": 100 * 10**9,
                "nonce": await client.nonce(EXTRA),
                "chainId": 0x5AFD,
                "data": asked("rofl.OriginApp", None),
            },
            EXTRA.secret,
        ).raw_transaction
        record = await client.mine(bytes(raw))
        assert cbor2.loads(decode(["uint64", "bytes"], record["output"])[1]) == app
        # Contracts make apps of their own; they register nobody and derive nothing.
        body = {"policy": policy(), "scheme": 0, "metadata": {}}
        assert await ask("rofl.Create", body, RICH) == ("accounts", 2)
        await fund(client, ethereum_address(forward), 150)
        made = await ask("rofl.Create", body, RICH)
        assert (await client.query("rofl.App", {"id": made}))["admin"] == ethereum_address(forward)
        register = await Instance(client, app, name="by a contract").body()
        assert await ask("rofl.Register", register, RICH) == ("rofl", 11)
        derive = {"app": app, "kind": 0, "generation": 0, "key_id": b""}
        assert await ask("rofl.DeriveKey", derive, EXTRA, proxy=app) == ("rofl", 11)

    in_a_world(test)


def test_who_may_not_derive_gets_nothing():
    async def test(world: World) -> None:
        client = Client(world)
        app, other = await create_app(client), await create_app(client)
        await fund(client, node_address("compute-0"))
        one = Instance(client, app)
        assert (await one.register()).error is None
        stranger = Ed25519Key("stranger")
        await fund(client, stranger.address)
        refused = await client.send_sealed(
            "rofl.DeriveKey", {"app": app, "kind": 0, "generation": 0, "key_id": b""}, stranger
        )
        assert refused.error == ("rofl", 11)
        # The secrets of another app, by a registered instance that pays for itself.
        await fund(client, one.rak.address)
        body = {"app": other, "kind": 1, "generation": 0, "key_id": OASIS_SEK}
        refused = await client.send_sealed("rofl.DeriveKey", body, one.rak)
        assert refused.error == ("rofl", 11)
        body["app"] = app
        assert (await client.send("rofl.DeriveKey", body, one.rak)).error == ("rofl", 13)
        body["generation"] = 1
        assert (await client.send_sealed("rofl.DeriveKey", body, one.rak)).error == ("rofl", 1)
        # A removed app takes the rights of its instances along.
        assert (await client.send("rofl.Remove", {"id": app})).error is None
        body["generation"] = 0
        assert (await client.send_sealed("rofl.DeriveKey", body, one.rak)).error == ("rofl", 11)

    in_a_world(test)


def test_evidence_that_does_not_hold_registers_nobody():
    async def test(world: World) -> None:
        client = Client(world)
        app = await create_app(client)
        for node in ("compute-0", "compute-1", "keymanager-0"):
            await fund(client, node_address(node))
        one = Instance(client, app)
        assert (await one.but(code=OTHER_CODE).register()).error == ("rofl", 5)
        # A node that the policy does not let, and one that nobody knows.
        assert (await one.but(node="keymanager-0").register()).error == ("rofl", 7)
        # The capability of another node, endorsed by this one.
        other = one.capability(node="compute-1")
        assert (await one.register(capability=other)).error == ("rofl", 1)
        future = one.capability(height=world.consensus.height + 1_000)
        assert (await one.register(capability=future)).error == ("rofl", 1)
        # The quote of another enclave, signed for by this one.
        theirs = replace(
            one.capability(), attestation=one.but(name="another").capability().attestation
        )
        assert (await one.register(capability=theirs)).error == ("rofl", 1)
        # A proof about another node; one that somebody changed.
        about = await one.but(node="compute-1").prove()
        assert (await one.register(proof=about)).error == ("rofl", 1)
        spoilt = bytearray(await one.prove())
        spoilt[-1] ^= 1
        assert (await one.register(proof=bytes(spoilt))).error == ("rofl", 1)
        assert (await one.register(epochs=4)).error == ("rofl", 1)
        # Without the consent of an extra key.
        with_extra = one.but(extra=(EXTRA,))
        refused = await with_extra.register(signers=(one.rak,))
        assert refused.error == ("rofl", 4)
        # Nobody pays for what no node has endorsed, or a RAK has not signed.
        await fund(client, one.rak.address)
        body = await one.body()
        body["ect"]["node_endorsement"]["signature"] = bytes(64)
        raw = await client.sign(Call(body, "rofl.Register"), one.rak, proxy=app)
        assert await client.refusal(raw) == ("core", 10)
        assert (await client.send("rofl.Register", body, one.rak)).error == ("rofl", 1)
        stranger = Ed25519Key("stranger")
        await fund(client, stranger.address)
        assert (await client.send("rofl.Register", await one.body(), stranger)).error == ("rofl", 3)
        assert await client.query("rofl.AppInstances", {"id": app}) == []
        assert (await one.register()).error is None

    in_a_world(test)


def test_evidence_that_somebody_touched_is_refused_and_never_stops_an_enclave():
    async def test(world: World) -> None:
        client = Client(world)
        one = Instance(client, await create_app(client))
        config = world.sockets["compute-0"].program.config
        judge = InstanceJudge(
            runtime_id=config.runtime_id,
            chain_id=config.chain_id,
            validators=[Validator(v.public_key, v.power) for v in config.validators],
            root_ca_hash=config.root_ca_hash,
            follows_rewinds=True,
        )
        body = await one.body()
        question = {
            "capability": body["ect"]["capability_tee"],
            "node_id": body["ect"]["node_endorsement"]["public_key"],
            "policy": policy(),
            "proof": body["proof"],
            "epoch": world.epoch,
            "now": mock_tee.NOW_S,
        }
        good = cbor.encode(question)
        assert cbor2.loads(judge.judge(good))["code"] == 0
        attestation = question["capability"]["attestation"]
        # Text around a certificate is nobody's word, and one of the chains is not read.
        pem = rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\s*"
        skipped = {at for found in re.finditer(pem, good, re.S) for at in range(*found.span())}
        chance = random.Random(7)
        for part in (cbor.encode(question["capability"]), attestation["quote"], body["proof"]):
            begin = good.index(part)
            for _ in range(100):
                at = begin + chance.randrange(len(part))
                if at in skipped:
                    continue
                touched = bytearray(good)
                touched[at] ^= 1 << chance.randrange(8)
                assert cbor2.loads(judge.judge(bytes(touched)))["code"] in (1, 5, 7), good[
                    at - 30 : at + 30
                ]

    in_a_world(test)


def test_a_registration_is_not_played_again_and_its_keys_are_its_own():
    async def test(world: World) -> None:
        client = Client(world)
        app, other = await create_app(client), await create_app(client)
        await fund(client, node_address("compute-0"))
        one = Instance(client, app, extra=(EXTRA,))
        raw = await client.sign(Call(await one.body(), "rofl.Register"), one.rak, EXTRA, proxy=app)
        assert (await client.submit(raw)).error is None
        assert await client.refusal(raw) == ("core", 4)
        assert (await one.but(extra=()).register()).error == ("rofl", 9)
        # Neither the attestation key nor an extra key speaks for a second one meanwhile.
        assert (await one.but(app=other, extra=()).register()).error == ("rofl", 11)
        thief = one.but(name="thief")
        assert (await thief.register()).error == ("rofl", 11)
        # A policy that changes lets nobody renew who does not fulfil it.
        strict = policy(enclaves=[{"mr_enclave": b"\x01" * 32, "mr_signer": b"\x02" * 32}])
        change = {"id": app, "policy": strict, "admin": RICH.address}
        assert (await client.send("rofl.Update", change)).error is None
        assert (await one.register()).error == ("rofl", 5)

    in_a_world(test)


@pytest.mark.long
def test_an_instance_ends_with_its_epoch():
    async def test(world: World) -> None:
        client = Client(world)
        app = await create_app(client)
        await fund(client, node_address("compute-0"))
        one = Instance(client, app)
        old = one.capability(), await one.prove()
        assert (await one.register(epochs=1)).error is None
        await fund(client, one.rak.address)
        first = world.epoch
        await world.until(lambda: world.epoch > first)
        body = {"app": app, "kind": 0, "generation": 0, "key_id": b""}
        assert (await client.send_sealed("rofl.DeriveKey", body, one.rak)).error == ("rofl", 11)
        assert await client.query("rofl.AppInstances", {"id": app}) == []
        # It comes back with new evidence; what was shown too long ago does not count.
        assert (await one.register()).error is None
        await world.until(lambda: world.epoch > first + 5, seconds=300)
        late = one.but(name="late")
        refused = await late.register(capability=late.capability(height=1))
        assert refused.error == ("rofl", 1)
        refused = await one.register(capability=old[0], proof=old[1])
        assert refused.error == ("rofl", 1)
        assert (await one.register()).error is None

    in_a_world(test, epoch_s=60)
