"""Writes docs/json_rpc.md from what a gateway serves; run it as a module."""

import tempfile
from pathlib import Path

from services.gateway.app import build_node
from services.gateway.rpc.callers import DEV_NAMESPACES
from services.gateway.rpc.impersonation import Impersonations
from services.gateway.rpc.openrpc import describe
from services.gateway.rpc.table import build_method_table
from services.gateway.unlocked import UnlockedAccounts
from shared.gateways.compute_nodes import ComputeNodes
from tests.support.fake_compute import FakeChain, FakeComputeNode
from tests.support.fake_consensus import TRUST_ROOT, FakeConsensus
from tests.support.gateway import make_settings
from tests.support.metrics_page import ROOT

PAGE = ROOT / "docs" / "json_rpc.md"
HEAD = """# JSON-RPC methods

What a gateway of an EVM serves, in a network with dev controls; those are marked `dev`.
`rpc.discover` gives the same as OpenRPC. Parameters come by position or, in an object, by these
names in any case; `?` may be left out. Quirks, and differences from Sapphire's own gateway:
[services/gateway.md](services/gateway.md). This page is made by
`python -m tests.support.methods_page`, and a test compares it.

| method | parameters | what | |
|---|---|---|---|
"""


class NoProbe:
    async def check(self, _: object) -> int:
        raise NotImplementedError


def render() -> str:
    with tempfile.TemporaryDirectory() as directory:
        chain = FakeChain()
        node = build_node(
            make_settings(Path(directory), unsafe_dev_controls=True),
            ComputeNodes({"a:1": FakeComputeNode(chain, "compute-0")}),
            FakeConsensus(chain),
            TRUST_ROOT,
            NoProbe(),
        )
        document = describe(build_method_table(node, UnlockedAccounts(), Impersonations()))
    return HEAD + "".join(map(_row, document["methods"]))


def _row(method: dict) -> str:
    names = (one["name"] + ("" if one["required"] else "?") for one in method["params"])
    mark = "dev" if method["name"].startswith(DEV_NAMESPACES) else ""
    summary = method["summary"].replace("|", "\\|")
    return (
        f"| `{method['name']}` | {' '.join(f'`{one}`' for one in names)} | {summary} | {mark} |\n"
    )


if __name__ == "__main__":
    PAGE.write_text(render())
