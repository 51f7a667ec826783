"""What consensus and compute nodes of a running network say: stake, and parts in a committee."""

import asyncio

from shared.api.compute import ComputeStatus, compute_client
from shared.api.consensus import consensus_client
from shared.crypto.address import staking_address
from shared.encoding.record import encode_record
from shared.kit.identity import load_identity
from shared.kit.link import Link
from shared.types.evm import EvmCall, EvmQuery
from tests.support.networks import ProcessNetwork


def entities(network: ProcessNetwork) -> dict[str, bytes]:
    """Staking address of each node's entity, by the node's name."""
    return {
        path.parent.parent.name: staking_address(load_identity(path.parent).entity.public_key)
        for path in network.data.glob("*/host/identity.json")
        # Gateways have a key and no entity.
        if not path.parent.parent.name.startswith("gateway")
    }


def escrows(network: ProcessNetwork) -> dict[str, int]:
    """Stake of each node's entity [base units], by the node's name."""
    addresses = entities(network)
    port = network.process("consensus-0")["ports"][0]
    return asyncio.run(_fetch(f"127.0.0.1:{port}", addresses))


async def _fetch(address: str, accounts: dict[str, bytes]) -> dict[str, int]:
    link = Link("consensus-0", address)
    try:
        consensus = consensus_client(link)
        return {name: await consensus.fetch_escrow(of) for name, of in accounts.items()}
    finally:
        link.close()


def compute_status(network: ProcessNetwork, name: str, part: str = "") -> ComputeStatus:
    """What a compute node says of itself; `part` is a runtime id in hex where it serves several."""
    port = network.process(name)["ports"][0]
    return asyncio.run(_fetch_status(Link(name, f"127.0.0.1:{port}", part=part)))


async def _fetch_status(link: Link) -> ComputeStatus:
    try:
        return await compute_client(link).fetch_status()
    finally:
        link.close()


def call_on(network: ProcessNetwork, name: str, to: bytes, data: bytes) -> bytes:
    """Call a contract in plain on one node, whatever the gateway thinks of it."""
    port = network.process(name)["ports"][0]

    async def main() -> bytes:
        link = Link(name, f"127.0.0.1:{port}")
        try:
            call = EvmCall(bytes(20), to, 1_000_000, 0, 0, bytes(data))
            return await compute_client(link).query(EvmQuery.CALL, encode_record(call))
        finally:
            link.close()

    return asyncio.run(main())


def slashed(before: dict[str, int], now: dict[str, int]) -> dict[str, int]:
    """What each entity lost [base units]; those that lost nothing are left out."""
    return {name: before[name] - now[name] for name in before if now[name] != before[name]}
