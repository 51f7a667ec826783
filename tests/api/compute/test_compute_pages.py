"""The read API of a compute node: every page answers as its schema says."""

import httpx
import pytest

from services.compute.pages import build_pages
from shared.kit.service import Service
from tests.support.compute_nodes import raw, submit, until_executed
from tests.support.keymanager import PARATIME_ID
from tests.support.wire import serving
from tests.support.world_genesis import address_of, node_id_of

pytestmark = pytest.mark.enable_socket


async def test_every_page_of_the_document_answers(world):
    tx = raw(0)
    await submit(world, "compute-0", tx)
    await until_executed(world, tx)
    runtime_id = PARATIME_ID
    parts = {runtime_id.hex(): world.services[address_of("compute-0")]}
    nodes = {runtime_id: world.nodes["compute-0"]}
    pages = {"load_pages": lambda: build_pages(parts, lambda: nodes)}
    async with (
        serving(Service(parts=parts), "compute", **pages) as server,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=30) as client,
    ):
        paths = (await client.get("/openapi.json")).json()["paths"]
        newest = world.nodes["compute-0"].feed.next_round - 1
        answers = {}
        for path in (path for path, verbs in paths.items() if "get" in verbs):
            answer = await client.get(path.format(runtime_id=runtime_id.hex(), round=newest))
            assert answer.status_code == 200, (path, answer.text)
            answers[path] = answer.json()
        one = "/v1/paratimes/{runtime_id}"
        assert answers["/v1/paratimes"] == [answers[one]]
        peers = {peer["node_id"] for peer in answers[f"{one}/peers"]}
        assert peers == {"0x" + node_id_of(name).hex() for name in ("compute-1", "compute-2")}
        assert answers[f"{one}/rounds"][0]["round"] == newest
        # Each is a worker, and a backup worker.
        assert len(answers[f"{one}/committee"]["members"]) == 6
        for missing in ("00", "zz1"):
            answer = await client.get(f"/v1/paratimes/{missing}/pool")
            assert answer.status_code in (404, 422)
