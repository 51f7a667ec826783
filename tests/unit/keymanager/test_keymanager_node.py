"""Whole nodes, two of them, over a small consensus."""

from dataclasses import replace

import pytest

from services.keymanager.rules import duties
from shared.types.key_requests import EphemeralSecretMissing
from tests.support.keymanager import PARATIME_ID, SIGNERS, make_policy, sign_policy
from tests.support.keymanager_enclaves import node_id
from tests.support.keymanager_nodes import Nodes
from tests.support.turns import turns

PAIR = b"p" * 32


@pytest.fixture
async def network(monkeypatch):
    monkeypatch.setattr(duties, "RANK_PAUSE_MS", 20)
    monkeypatch.setattr(duties, "NEXT_EPOCH_PAUSE_MS", 40)
    monkeypatch.setattr(duties, "LOSS_PATIENCE_MS", 40)
    monkeypatch.setattr(duties, "DENIED_PATIENCE_MS", 20)
    network = Nodes()
    yield network
    await network.close()


async def start_both(network: Nodes) -> None:
    await network.start("km-0")
    await network.start("km-1")
    await all_ready(network)


async def all_ready(network: Nodes) -> None:
    await network.until(lambda: all(node.status().is_ready for node in network.nodes.values()))


def all_hold(network: Nodes, epoch: int) -> bool:
    states = [node._state for node in network.nodes.values()]
    return all(state is not None and epoch in state.ephemeral_epochs for state in states)


async def epoch_key(network: Nodes, name: str, epoch: int):
    enclave = network.nodes[name].enclave
    return await enclave.fetch_ephemeral_public_key(PARATIME_ID, PAIR, epoch)


async def test_two_nodes_become_ready_by_themselves_and_agree(network):
    await start_both(network)
    assert await epoch_key(network, "km-0", 2) == await epoch_key(network, "km-1", 2)
    assert network.consensus.chain.status.generation == 0


async def test_one_node_alone_becomes_ready(network):
    await network.start("km-0")
    await all_ready(network)
    assert network.nodes["km-0"].waits_for() == ""


async def test_one_master_secret_and_one_secret_an_epoch_are_published(network):
    await start_both(network)
    await network.until(lambda: ("ephemeral", 3) in network.consensus.published)
    await turns()
    published = network.consensus.published
    assert sorted(set(published)) == [("ephemeral", 2), ("ephemeral", 3), ("master", 0)]
    assert [published.count(("ephemeral", epoch)) for epoch in (2, 3)] == [1, 1]
    # A proposal that misses a member who registers meanwhile is made again; one is accepted.
    assert network.consensus.chain.status.generation == 0


async def test_secret_of_the_next_epoch_is_there_when_it_begins(network):
    await start_both(network)
    await network.until(lambda: all_hold(network, 3))
    network.consensus.begin_epoch()
    await network.until(
        lambda: all(
            node.status().epoch == 3 and node.status().is_ready for node in network.nodes.values()
        )
    )


async def test_epoch_that_came_too_soon_gets_its_secret_at_once(network):
    await start_both(network)
    for _ in range(3):
        network.consensus.begin_epoch()
    await network.until(lambda: ("ephemeral", 5) in network.consensus.published)
    await all_ready(network)


async def test_nodes_register_again_in_every_epoch(network):
    await start_both(network)
    before = {name: len(r.registrations) for name, r in network.registries.items()}
    network.consensus.begin_epoch()
    await network.until(
        lambda: all(len(r.registrations) > before[n] for n, r in network.registries.items())
    )


async def test_latecomer_replicates_what_was_before_it(network):
    await network.start("km-0")
    await all_ready(network)
    await network.until(lambda: ("ephemeral", 3) in network.consensus.published)
    await network.start("km-1")
    await all_ready(network)
    assert await epoch_key(network, "km-1", 2) == await epoch_key(network, "km-0", 2)
    response = network.registries["km-1"].registrations[-1].response
    assert response.checksum == network.consensus.chain.status.checksum


async def test_either_alone_serves_when_the_other_is_killed(network):
    await start_both(network)
    expected = await epoch_key(network, "km-0", 2)
    await network.kill("km-0")
    assert await epoch_key(network, "km-1", 2) == expected
    network.consensus.begin_epoch()
    network.consensus.begin_epoch()
    await network.until(lambda: network.nodes["km-1"].status().epoch == 4)
    await network.until(lambda: network.nodes["km-1"].status().is_ready)


async def test_killed_node_comes_back_with_sealed_and_replicated_secrets(network):
    await start_both(network)
    await network.until(lambda: all_hold(network, 3))
    expected = [await epoch_key(network, "km-0", epoch) for epoch in (2, 3)]
    await network.kill("km-0")
    await network.start("km-0")
    await all_ready(network)
    assert [await epoch_key(network, "km-0", epoch) for epoch in (2, 3)] == expected
    assert network.nodes["km-0"].is_open


async def test_restart_of_all_loses_the_epoch_and_moves_on_to_one_with_a_secret(network):
    await start_both(network)
    await network.until(lambda: ("ephemeral", 3) in network.consensus.published)
    for name in ("km-0", "km-1"):
        await network.kill(name)
    for name in ("km-0", "km-1"):
        await network.start(name)
    await network.until(
        lambda: all(node._state and node._state.is_fresh for node in network.nodes.values())
    )
    for name in ("km-0", "km-1"):
        for epoch in (2, 3):
            with pytest.raises(EphemeralSecretMissing):
                await epoch_key(network, name, epoch)
    await all_ready(network)
    assert network.nodes["km-0"].status().epoch == 4
    assert await epoch_key(network, "km-0", 4) == await epoch_key(network, "km-1", 4)


@pytest.mark.long
async def test_open_epoch_of_what_was_said_before_a_restart_of_all_is_left_behind(network):
    await start_both(network)
    await network.until(lambda: all_hold(network, 3))
    await network.until(lambda: all(2 in said(network, name) for name in network.nodes))
    for name in ("km-0", "km-1"):
        await network.kill(name)
    for _ in range(2):
        network.consensus.begin_epoch()
    assert 2 in network.consensus.chain.status.open_epochs
    for name in ("km-0", "km-1"):
        await network.start(name)
    await all_ready(network)
    await network.until(lambda: all(n.status().epoch == 5 for n in network.nodes.values()))
    assert network.consensus.chain.status.open_epochs == (4,)
    await all_ready(network)
    assert await epoch_key(network, "km-0", 5) == await epoch_key(network, "km-1", 5)


async def test_node_says_which_secrets_it_holds_so_that_the_epoch_stays_open(network):
    await start_both(network)
    await network.until(lambda: all_hold(network, 3))
    await network.until(lambda: all(2 in said(network, name) for name in network.nodes))
    network.consensus.begin_epoch()
    assert 2 in network.consensus.chain.status.open_epochs
    await all_ready(network)


async def test_node_that_was_paused_over_two_epochs_fetches_what_it_missed(network):
    await start_both(network)
    await network.until(lambda: all_hold(network, 3))
    paused = network.enclaves.running[node_id("km-1")]
    network._tasks.pop("km-1").cancel()
    for epoch in (3, 4, 5):
        network.consensus.begin_epoch()
        await network.until(lambda e=epoch: e in said(network, "km-0"))
    network.consensus.begin_epoch()
    await network.until(lambda: network.nodes["km-0"].status().is_ready)
    # The same enclave goes on where it was.
    assert not {4, 5, 6} & set(paused._vault.ephemeral.epochs())
    await network.resume("km-1", paused)
    await network.until(lambda: {4, 5, 6} <= set(paused._vault.ephemeral.epochs()))
    await all_ready(network)
    for epoch in (4, 5):
        assert await epoch_key(network, "km-1", epoch) == await epoch_key(network, "km-0", epoch)


async def test_refused_policy_does_not_stop_the_nodes(network):
    await start_both(network)
    consensus = network.consensus
    forged = sign_policy(make_policy(serial=9), SIGNERS[0])
    consensus.chain.status = replace(consensus.chain.status, policy=forged)
    consensus.begin_epoch()
    await network.until(lambda: all(n._state.policy_refusal for n in network.nodes.values()))
    await network.until(lambda: all(n.status().epoch == 3 for n in network.nodes.values()))
    await all_ready(network)


def said(network: Nodes, name: str):
    """Epochs whose secrets a node told consensus that it holds."""
    return network.registries[name].registrations[-1].response.ephemeral_epochs
