"""Real processes: a consensus and two key managers, killed and restarted."""

import os

import pytest

from shared.errors import QanatError
from shared.rules.key_ids import transaction_key_id
from shared.rules.key_policy import verify_public_key
from shared.types.key_requests import (
    ChainView,
    QueryForbidden,
    ReplicationForbidden,
    StaleAsker,
)
from tests.support.keymanager_processes import NAMES, NETWORK_FILE, KeyManagerNetwork

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

PAIR = b"p" * 32


@pytest.fixture
async def network(tmp_path):
    network = KeyManagerNetwork(tmp_path, 20_000 + os.getpid() % 20_000)
    network.start("consensus-0", *NAMES)
    yield network
    await network.close()


async def view(network) -> ChainView:
    status = await network.consensus.fetch_status()
    return ChainView(status.height, status.time_ns, status.incarnation)


async def epoch_key(network, name, epoch):
    return await network.nodes[name].fetch_ephemeral_public_key(network.paratime_id, PAIR, epoch)


async def test_two_key_managers_agree_and_vouch_for_their_keys(network):
    await network.until_ready()
    status = await network.consensus.fetch_key_manager(network.key_manager_id)
    assert status.is_initialized
    assert not status.is_secure
    assert status.generation == 0
    epoch = (await network.consensus.fetch_status()).epoch
    answers = [await epoch_key(network, name, epoch) for name in NAMES]
    assert answers[0] == answers[1]
    assert answers[0].checksum == status.checksum
    verify_public_key(
        answers[0],
        rsk=status.rsk,
        runtime_id=network.paratime_id,
        key_pair_id=PAIR,
        epoch=epoch,
        now_epoch=epoch,
    )


@pytest.mark.long
async def test_measured_compute_enclave_gets_its_keys_and_nothing_else(network):
    await network.until_ready()
    status = await network.consensus.fetch_status()
    pair_id = transaction_key_id(network.paratime_id, status.chain_context, status.epoch)
    wanted = {
        "runtime_id": network.paratime_id,
        "key_pair_ids": (pair_id,),
        "epoch": status.epoch,
        "view": await view(network),
    }
    asker = network.ask_as_compute(NAMES[0])
    (pair,) = await asker.ask("get_or_create_ephemeral_keys", **wanted)
    public = await network.nodes[NAMES[1]].fetch_ephemeral_public_key(
        network.paratime_id, pair_id, status.epoch
    )
    assert pair.public_key == public.key
    with pytest.raises(QueryForbidden):
        await asker.ask(
            "get_or_create_ephemeral_keys", **(wanted | {"runtime_id": network.key_manager_id})
        )
    with pytest.raises(ReplicationForbidden):
        await asker.ask("replicate_master_secret", generation=0, view=wanted["view"])
    with pytest.raises(StaleAsker):
        old = ChainView(1, wanted["view"].time_ns - 700 * 1_000_000_000)
        await asker.ask("get_or_create_ephemeral_keys", **(wanted | {"view": old}))


@pytest.mark.long
async def test_keys_of_one_paratime_are_refused_to_the_other(tmp_path):
    text = (NETWORK_FILE.parent / "paratimes.toml").read_text()
    file = tmp_path / "two.toml"
    # Two ParaTimes with secrets, under one key manager.
    file.write_text(text.replace("confidential = false", 'key_manager = "keymanager"'))
    network = KeyManagerNetwork(tmp_path / "data", 20_000 + os.getpid() % 20_000, file)
    ids = {one.name: bytes.fromhex(one.id) for one in network.network.paratime}
    network.start("consensus-0", *NAMES)
    try:
        await network.until_ready()
        epoch = (await network.consensus.fetch_status()).epoch
        for asking in ("sapphire", "emerald"):
            asker = network.ask_as_compute(NAMES[0], asking)
            for paratime, runtime_id in ids.items():
                question = asker.ask(
                    "get_or_create_ephemeral_keys",
                    runtime_id=runtime_id,
                    key_pair_ids=(PAIR,),
                    epoch=epoch,
                    view=await view(network),
                )
                if paratime == asking:
                    assert len(await question) == 1
                else:
                    with pytest.raises(QueryForbidden):
                        await question
    finally:
        await network.close()


@pytest.mark.long
async def test_either_alone_serves_and_the_killed_one_comes_back_with_everything(network):
    await network.until_ready()
    epoch = (await network.consensus.fetch_status()).epoch
    long_term = await network.nodes[NAMES[0]].fetch_public_key(network.paratime_id, PAIR)
    ephemeral = await epoch_key(network, NAMES[0], epoch)
    for killed, other in (NAMES, NAMES[::-1]):
        await network.kill(killed)
        assert await epoch_key(network, other, epoch) == ephemeral
        await network.until_ready(killed)
        node = network.nodes[killed]
        assert await node.fetch_public_key(network.paratime_id, PAIR) == long_term
        assert await epoch_key(network, killed, epoch) == ephemeral
        assert "secrets_replicated" in network.events(killed)


@pytest.mark.long
async def test_kill_of_everything_keeps_long_term_keys_and_moves_to_a_new_epoch(network):
    await network.until_ready()
    epoch = (await network.consensus.fetch_status()).epoch
    long_term = await network.nodes[NAMES[0]].fetch_public_key(network.paratime_id, PAIR)
    await network.kill("consensus-0", *NAMES)
    await network.until_ready(epoch=epoch + 1)
    for name in NAMES:
        assert await network.nodes[name].fetch_public_key(network.paratime_id, PAIR) == long_term
    now = (await network.consensus.fetch_status()).epoch
    assert await epoch_key(network, NAMES[0], now) == await epoch_key(network, NAMES[1], now)
    with pytest.raises(QanatError):
        await epoch_key(network, NAMES[0], epoch)


@pytest.mark.long
async def test_epochs_follow_each_other_without_a_gap(network):
    await network.until_ready()
    for _ in range(3):
        epoch = await network.consensus.advance_epoch(1)
        await network.until_ready(epoch=epoch)
        keys = [await epoch_key(network, name, epoch) for name in NAMES]
        assert keys[0] == keys[1]


@pytest.mark.long
async def test_rewound_chain_is_followed_without_losing_a_key(network):
    await network.until_ready()
    before = await network.consensus.fetch_status()
    key = await epoch_key(network, NAMES[0], before.epoch)
    await network.consensus.advance_epoch(2)
    await network.until_ready(epoch=before.epoch + 2)
    await network.consensus.rewind(before.height)
    await network.until(lambda status: status.epoch == before.epoch and status.is_ready)
    for name in NAMES:
        assert await epoch_key(network, name, before.epoch) == key
        assert "node_registered" in network.events(name)[-3:]
    # And on from there: an epoch that is lived again has one key everywhere.
    epoch = await network.consensus.advance_epoch(1)
    await network.until(lambda status: status.epoch == epoch and status.is_ready)
    keys = [await epoch_key(network, name, epoch) for name in NAMES]
    assert keys[0] == keys[1]


@pytest.mark.long
async def test_latecomer_replicates_the_master_secret(network):
    await network.until_ready()
    await network.stop(NAMES[1])
    for blob in network.layout.enclave(NAMES[1], "keymanager").glob("*.sealed"):
        blob.unlink()
    network.start(NAMES[1])
    await network.until_ready()
    keys = [await network.nodes[n].fetch_public_key(network.paratime_id, PAIR) for n in NAMES]
    assert keys[0] == keys[1]
