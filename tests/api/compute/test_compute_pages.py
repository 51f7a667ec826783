"""The read API of a compute node: every page answers as its schema says."""

import httpx
import pytest

from services.compute.pages import build_pages
from shared.kit.service import Service
from tests.support.compute_nodes import RICH, WEI, ComputeNetwork, raw, submit, until_executed
from tests.support.wire import serving

pytestmark = pytest.mark.enable_socket


@pytest.fixture
async def network():
    network = ComputeNetwork(balances=((RICH, 1000 * WEI),), batch_flush_timeout_ms=60_000)
    for name in ("a", "b", "c"):
        await network.start(name)
    await network.until(lambda: len(network.chain.nodes) == 3)
    network.chain.begin_epoch([network.node_id(name) for name in ("a", "b", "c")])
    await network.until_round(2)
    yield network
    await network.close()


async def test_every_page_of_the_document_answers(network):
    tx = raw(0)
    await submit(network, "a", tx)
    await until_executed(network, tx)
    runtime_id = network.chain.runtime.id
    parts = {runtime_id.hex(): network.services["a:1"]}
    nodes = {runtime_id: network.nodes["a"]}
    pages = {"load_pages": lambda: build_pages(parts, lambda: nodes)}
    async with (
        serving(Service(parts=parts), "compute", **pages) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client,
    ):
        paths = (await client.get("/openapi.json")).json()["paths"]
        newest = network.nodes["a"].feed.next_round - 1
        answers = {}
        for path in (path for path, verbs in paths.items() if "get" in verbs):
            answer = await client.get(path.format(runtime_id=runtime_id.hex(), round=newest))
            assert answer.status_code == 200, (path, answer.text)
            answers[path] = answer.json()
        one = "/v1/paratimes/{runtime_id}"
        assert answers["/v1/paratimes"] == [answers[one]]
        peers = {peer["node_id"] for peer in answers[f"{one}/peers"]}
        assert peers == {"0x" + network.node_id(name).hex() for name in ("b", "c")}
        assert answers[f"{one}/rounds"][0]["round"] == newest
        assert len(answers[f"{one}/committee"]["members"]) == 3
        for missing in ("00", "zz1"):
            answer = await client.get(f"/v1/paratimes/{missing}/pool")
            assert answer.status_code in (404, 422)
