"""Who was not invited, on a running network: nothing is taken from him, and nothing stops."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from qanat.layout import DataLayout
from qanat.network import NodePlan, load_network, plan_nodes
from shared.api.compute import compute_client, compute_peer
from shared.api.consensus import consensus_client
from shared.api.keymanager import key_manager_client
from shared.crypto.signing import Signer
from shared.encoding import cbor, frames
from shared.errors import PeerUnavailable
from shared.gateways.finality import load_trust_root
from shared.kit.callers import NotAdmitted
from shared.kit.dev_controls import DevTokenWrong
from shared.kit.dialing import PROTOCOL, Credentials
from shared.kit.heads import encode_head
from shared.kit.identity import load_node_key
from shared.kit.limits import MIB
from shared.kit.link import Link
from tests.support.networks import ProcessNetwork, port_base, wait_for

HALF_BODY = b"POST /v1/x/y HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
DEAF = b"".join(
    (
        encode_head("GET /v1/frames HTTP/1.1", {"Connection": "Upgrade", "Upgrade": PROTOCOL}),
        # All that happened, forty times over; each node knows one of the two methods.
        *(
            frames.encode_frame(frames.Request(id_, method, cbor.encode_loosely({field: 1})))
            for id_, (method, field) in enumerate(
                (("watch_blocks", "from_height"), ("watch_rounds", "from_round")) * 40, start=1
            )
        ),
        # Half of a frame.
        (1_000_000).to_bytes(4, "big") + bytes(500_000),
    )
)
OLD_BLOCKS, OLD_ROUNDS = 3_072, 512
"""History of a network that has been up for an hour or so."""
STRANGERS = (Credentials(), Credentials(Signer(b"nobody".ljust(32))))


@pytest.fixture
def plans(process_network: ProcessNetwork) -> dict[str, NodePlan]:
    network = load_network(process_network.network_file)
    return {plan.name: plan for plan in plan_nodes(network, process_network.http_port)}


@pytest.mark.parametrize("credentials", STRANGERS, ids=["no key", "a key of nobody"])
def test_a_stranger_gets_what_is_public_and_nothing_else(plans, credentials):
    async def scenario() -> None:
        links = {
            name: Link(name, plans[name].address, credentials=credentials)
            for name in ("consensus-0", "keymanager-0", "compute-0")
        }
        consensus = consensus_client(links["consensus-0"])
        for call in (
            key_manager_client(links["keymanager-0"]).call_session(b"s" * 32, b""),
            compute_peer(links["compute-0"]).gossip_transactions((b"x",)),
            compute_peer(links["compute-0"]).fetch_diffs(0, 1),
            consensus.report_incarnation("nobody", 0),
        ):
            with pytest.raises(NotAdmitted):
                await call
        for call in (consensus.advance_epoch(1), consensus.rewind(1), consensus.take_snapshot()):
            with pytest.raises(DevTokenWrong):
                await call
        assert (await consensus.fetch_status()).height > 0
        assert (await compute_client(links["compute-0"]).fetch_status()).is_ready
        for link in links.values():
            link.close()

    asyncio.run(scenario())


def test_a_gateway_proves_its_key_and_is_no_peer(process_network, plans):
    key = load_node_key(DataLayout(process_network.data).host("gateway"))
    expected = load_trust_root(DataLayout(process_network.data).genesis).nodes

    async def scenario() -> None:
        address = plans["compute-0"].address
        link = Link("compute-0", address, credentials=Credentials(key), expected=expected)
        answers = await compute_client(link).submit_transactions((bytes(2 * MIB),))
        assert answers[0].tx_hash is None
        with pytest.raises(NotAdmitted):
            await compute_peer(link).gossip_transactions((b"x",))
        link.close()

    asyncio.run(scenario())


def test_a_web_page_of_elsewhere_moves_nothing_even_with_the_token(process_network, plans):
    token = DataLayout(process_network.data).dev_token.read_text().strip()
    url = f"http://{plans['consensus-0'].address}/v1/consensus/mine_blocks"
    headers = {"Authorization": f"Bearer {token}"}
    for foreign in ({"Origin": "https://evil.example"}, {"Host": "evil.example"}):
        answer = httpx.post(url, json={"count": 1}, headers=headers | foreign)
        assert answer.status_code == 403
    assert httpx.post(url, json={"count": 1}, headers=headers).status_code == 200


def test_every_node_answers_on_both_families_of_localhost(plans):
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    for plan in plans.values():
        for host in ("127.0.0.1", "[::1]"):
            path = "/health?verbose" if plan.service == "gateway" else "/health"
            assert httpx.get(f"http://{host}:{plan.port}{path}").status_code == 200


@pytest.fixture
def old_network(tmp_path: Path) -> Iterator[ProcessNetwork]:
    """A network with much history: what a stream of all that happened costs grows with it."""
    network = ProcessNetwork(tmp_path / "data", port_base(22545))
    network.up()
    plans = plan_nodes(load_network(network.network_file), network.http_port)
    consensus = next(plan for plan in plans if plan.name == "consensus-0")
    token = DataLayout(network.data).dev_token.read_text().strip()
    for _ in range(OLD_BLOCKS // 256):
        answer = httpx.post(
            f"http://{consensus.address}/v1/consensus/mine_blocks",
            json={"count": 256},
            headers={"Authorization": f"Bearer {token}"},
            timeout=60,
        )
        assert answer.status_code == 200
    network.rpc("hardhat_mine", hex(OLD_ROUNDS))
    network.until_level(60)
    yield network
    network.down()
    network.close()


@pytest.mark.long
def test_rounds_go_on_under_held_connections_half_heads_and_readers_that_do_not_read(
    old_network,
):
    network = load_network(old_network.network_file)
    plans = {plan.name: plan for plan in plan_nodes(network, old_network.http_port)}

    async def attack(address: str) -> list[asyncio.StreamWriter]:
        host, _, port = address.rpartition(":")
        writers = []
        for kind in (HALF_BODY, DEAF, b"") * 20:
            _, writer = await asyncio.open_connection(host, int(port))
            writer.transport.pause_reading()
            writer.write(kind)
            writers.append(writer)
        return writers

    async def scenario() -> None:
        held = []
        for name in ("consensus-0", "compute-0", "compute-1", "keymanager-0"):
            held += await attack(plans[name].address)
        first = old_network.block_number()
        await asyncio.to_thread(
            wait_for, lambda: old_network.block_number() >= first + 4, 60, "more rounds"
        )
        link = Link("consensus", plans["consensus-0"].address)
        try:
            assert (await consensus_client(link).fetch_status()).height > 0
        except PeerUnavailable as error:
            pytest.fail(f"an honest client is kept out: {error.message}")
        link.close()
        for writer in held:
            writer.transport.abort()

    asyncio.run(scenario())
