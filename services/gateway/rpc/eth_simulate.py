"""`eth_*` methods that run calls which never were: simulations and access lists."""

from services.gateway.index.chain_index import ChainIndex
from services.gateway.node import GatewayNode
from services.gateway.rpc.block_ids import find_any_block, resolve_state
from services.gateway.rpc.errors import QueryRejected
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.objects import CallRequest, call_request
from services.gateway.rpc.parameters import (
    AnyBlockId,
    Tag,
    any_block_id,
    optional,
)
from services.gateway.rpc.replays import Replays
from services.gateway.rpc.shapes import Json
from services.gateway.rpc.simulations import (
    Base,
    WantedSimulation,
    access_list_simulation,
    fill_gaps,
    show_access_list,
    show_simulation,
    simulation_of,
    state_overrides,
    telling_what_is_too_much,
    wanted_simulation,
)
from shared.types.identity import Round

LATEST_STATE = optional(any_block_id, Tag.LATEST)


class EthSimulateMethods:
    """Answers of the namespace that leave nothing in the chain."""

    def __init__(self, node: GatewayNode, replays: Replays) -> None:
        self._index: ChainIndex = node.index
        self._replays = replays

    @rpc_method("eth_createAccessList", call_request, LATEST_STATE, optional(state_overrides))
    async def create_access_list(
        self, request: CallRequest, block: AnyBlockId, overrides: Json | None
    ) -> Json:
        """Accounts and slots that a call touches beside its sender and target."""
        simulation = access_list_simulation(request, overrides)
        state = await resolve_state(self._index, block)
        ((outcome,),) = await self._replays.simulate(simulation, state)
        return show_access_list(outcome)

    @rpc_method("eth_simulateV1", wanted_simulation, LATEST_STATE)
    async def simulate(self, wanted: WantedSimulation, block: AnyBlockId) -> list[Json]:
        """Blocks that never were, on the state after one that was, with the results of calls."""
        base = await find_any_block(self._index, block)
        if base is None:
            raise QueryRejected("header not found")
        start = Base(base.number, base.header.timestamp, base.hash)
        blocks = fill_gaps(start, wanted)
        request = simulation_of(start, blocks, wanted)
        with telling_what_is_too_much():
            ran = await self._replays.simulate_blocks(request, Round(base.number))
        return show_simulation(start, blocks, ran, wanted)
