"""The read API of the consensus service: every page answers as its schema says."""

import asyncio
from typing import Any

import httpx
import pytest

from services.consensus.app import build_service
from services.consensus.node import ConsensusNode
from services.consensus.pages import build_pages
from shared.api.consensus import ConsensusApi
from shared.kit.service import Service
from tests.api.consensus.test_consensus_api import run_workload
from tests.support.applications import CONSENSUS, GENESIS
from tests.support.consensus_world import COMPUTE, KEY_MANAGER, PARATIME
from tests.support.wire import serving

pytestmark = pytest.mark.enable_socket


@pytest.fixture
async def client():
    chain = CONSENSUS.new_chain()
    node = ConsensusNode(chain.store, chain.new_loop())
    service = build_service(node, CONSENSUS.document)
    running = asyncio.create_task(node.run())
    await run_workload(chain, service)
    served = Service((ConsensusApi, service))
    pages = {"load_pages": lambda: build_pages(service, node, GENESIS)}
    async with (
        serving(served, "consensus", **pages) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client,
    ):
        yield client
    running.cancel()


async def get(client: httpx.AsyncClient, path: str) -> Any:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_every_page_of_the_document_answers(client):
    document = await get(client, "/openapi.json")
    last = (await get(client, f"/v1/runtimes/{PARATIME.hex()}/rounds"))[0]["round"]
    status = await get(client, "/v1/status")
    values = {
        "height": status["height"],
        "node_id": COMPUTE[0].id.hex(),
        "round": last,
        "address": "00" * 21,
    }
    asked = 0
    for path, verbs in document["paths"].items():
        if "get" in verbs:
            runtime = KEY_MANAGER if "key-managers" in path else PARATIME
            await get(client, path.format(**values, runtime_id=runtime.hex()))
            asked += 1
    assert asked >= 18
    posts = [path for path, verbs in document["paths"].items() if "post" in verbs]
    assert "/v1/consensus/fetch_proven_state" in posts
    schema = document["components"]["schemas"]["BlockHeader"]
    assert "state_root" in schema["required"]


async def test_nodes_are_shown_with_their_quotes_and_what_the_verifier_says(client):
    nodes = await get(client, "/v1/nodes")
    assert {node["descriptor"]["id"] for node in nodes} == {"0x" + one.id.hex() for one in COMPUTE}
    for node in nodes:
        (verdict,) = node["verdicts"]
        assert verdict["is_mock_tee"]
        assert verdict["is_accepted"] == (verdict["reason"] == "")


async def test_a_round_is_shown_with_its_votes(client):
    rounds = await get(client, f"/v1/runtimes/0x{PARATIME.hex()}/rounds?limit=3")
    assert [one["round"] for one in rounds] == sorted(
        (one["round"] for one in rounds), reverse=True
    )
    normal = next(one for one in rounds if one["header_type"] == 1)
    shown = await get(client, f"/v1/runtimes/{PARATIME.hex()}/rounds/{normal['round']}")
    assert shown["header"] == normal
    assert shown["votes"]["good_nodes"]


async def test_blocks_are_listed_newest_first_and_show_their_transactions(client):
    blocks = await get(client, "/v1/blocks?limit=5")
    assert [one["height"] for one in blocks] == list(
        range(blocks[0]["height"], blocks[0]["height"] - 5, -1)
    )
    busy = next(one for one in blocks if one["transactions"])
    block = await get(client, f"/v1/blocks/{busy['height']}")
    assert len(block["transactions"]) == busy["transactions"]
    assert block["events"]["height"] == busy["height"]
    older = await get(client, f"/v1/blocks?limit=2&before={blocks[-1]['height']}")
    assert older[0]["height"] == blocks[-1]["height"] - 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/blocks/999", 404),
        ("/v1/blocks/0", 404),
        (f"/v1/blocks/{2**70}", 422),
        ("/v1/blocks?limit=1000", 422),
        ("/v1/blocks/x", 422),
        ("/v1/nodes/00", 404),
        ("/v1/nodes/zz", 422),
        ("/v1/nodes/abc", 404),
        ("/v1/runtimes/00/rounds", 404),
        ("/v1/key-managers/00", 404),
        (f"/v1/runtimes/{PARATIME.hex()}/rounds/{2**70}", 422),
        ("/nothing", 404),
    ],
)
async def test_what_is_not_there_is_said(client, path, status):
    assert (await client.get(path)).status_code == status


async def test_the_page_for_people_needs_nothing_from_elsewhere(client):
    page = (await client.get("/docs")).text
    assert "<title>Qanat node</title>" in page
    assert "//" not in page.replace("<!doctype", "")
