"""`KeyManagerApi` on the node object and through frames: the same answers, the same errors."""

from contextlib import asynccontextmanager

import httpx
import pytest

from services.keymanager.api import KeyManagerEdge, check_health
from services.keymanager.pages import build_pages
from shared.api.keymanager import KeyManagerApi, key_manager_client
from shared.errors import PeerUnavailable
from shared.kit.callers import NotAdmitted
from shared.kit.dialing import Credentials
from shared.kit.service import Service
from shared.rules.key_policy import verify_public_key
from shared.tee.session_peers import SessionUnknown
from shared.types.key_requests import EphemeralSecretMissing
from tests.support.keymanager import KEY_MANAGER, KEY_MANAGER_ID, PARATIME_ID
from tests.support.keymanager_enclaves import node_id
from tests.support.keymanager_nodes import Nodes
from tests.support.wire import CLIENT, SERVER, linked, posting, serving

pytestmark = pytest.mark.enable_socket

PAIR = b"p" * 32


@asynccontextmanager
async def on_the_object(node):
    yield KeyManagerEdge(node)


def served(node):
    return Service((KeyManagerApi, KeyManagerEdge(node)), admits=CLIENT.public_key.__eq__)


@asynccontextmanager
async def through_frames(node):
    async with (
        serving(served(node)) as server,
        linked(server, Credentials(CLIENT), SERVER) as link,
    ):
        yield key_manager_client(link)


@pytest.fixture
async def network():
    network = Nodes()
    yield network
    await network.close()


@pytest.fixture
async def node(network):
    node = await network.start("km-0")
    await network.until(lambda: node.status().is_ready)
    return node


@pytest.fixture(params=[on_the_object, through_frames], ids=["object", "frames"])
async def api(request, node):
    async with request.param(node) as api:
        yield api


async def test_status_tells_that_the_node_is_ready_and_its_tee_a_mock(api):
    status = await api.fetch_status()
    assert status.is_ready
    assert status.is_mock_tee
    assert (status.name, status.node_id) == ("km-0", node_id("km-0"))
    assert (status.runtime_id, status.mr_enclave) == (KEY_MANAGER_ID, KEY_MANAGER.mr_enclave)
    assert (status.epoch, status.generation) == (2, 0)


async def test_anybody_gets_public_keys_signed_by_the_rsk(api, network):
    rsk = network.registries["km-0"].registrations[-1].response.rsk
    for signed, epoch in (
        (await api.fetch_public_key(PARATIME_ID, PAIR), None),
        (await api.fetch_ephemeral_public_key(PARATIME_ID, PAIR, 2), 2),
    ):
        verify_public_key(
            signed, rsk=rsk, runtime_id=PARATIME_ID, key_pair_id=PAIR, epoch=epoch, now_epoch=2
        )


async def test_epoch_that_has_not_come_is_unavailable(api):
    with pytest.raises(EphemeralSecretMissing):
        await api.fetch_ephemeral_public_key(PARATIME_ID, PAIR, 40)


async def test_message_of_an_unknown_session_is_refused(api):
    with pytest.raises(SessionUnknown):
        await api.call_session(b"s" * 32, b"\x05" + bytes(40))


async def test_node_that_has_seen_nothing_of_the_chain_answers_no_session(network):
    node = await network.start("km-1")
    assert not node.status().is_ready
    with pytest.raises(PeerUnavailable):
        await KeyManagerEdge(node).call_session(b"s" * 32, b"\x01" + bytes(32))


async def test_health_shows_what_the_node_waits_for_and_that_the_tee_is_a_mock(network, node):
    is_ready, shown = await check_health(node)
    assert is_ready
    assert shown["tee"] == "MOCK"
    assert shown["waits_for"] == ""
    starting = await network.start("km-1")
    is_ready, shown = await check_health(starting)
    assert not is_ready
    assert shown["waits_for"] == "consensus"


async def test_a_stranger_gets_public_keys_and_nothing_else(node):
    async with serving(served(node)) as server, linked(server) as link:
        api = key_manager_client(link)
        assert (await api.fetch_status()).is_ready
        assert await api.fetch_public_key(PARATIME_ID, PAIR) is not None
        with pytest.raises(NotAdmitted):
            await api.call_session(b"s" * 32, b"")


async def test_messages_for_the_enclave_are_not_posted(node):
    async with serving(served(node)) as server, posting(server) as transport:
        with pytest.raises(NotAdmitted):
            await key_manager_client(transport).call_session(b"s" * 32, b"")


async def test_every_page_of_the_document_answers(network, node):
    pages = {"load_pages": lambda: build_pages(KeyManagerEdge(node), node, network.consensus)}
    async with (
        serving(served(node), "keymanager", **pages) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client,
    ):
        paths = (await client.get("/openapi.json")).json()["paths"]
        asked = [path for path, verbs in paths.items() if "get" in verbs]
        values = {"runtime_id": PARATIME_ID.hex(), "key_pair_id": PAIR.hex()}
        for path in asked:
            answer = await client.get(path.format(**values))
            assert answer.status_code == 200, (path, answer.text)
        assert len(asked) == 4
        of_epoch = await client.get(f"/v1/public-keys/{PARATIME_ID.hex()}/{PAIR.hex()}?epoch=40")
        assert of_epoch.status_code in (400, 503)
