"""
`oasis_view*`: view requests, carried to an enclave and back.

Nothing is decided here and nothing can be read: the request is signed, the answer is sealed to who
asks. The enclave says who may see what (`runtimes/evm/views.py`).
"""

from typing import Any

from services.gateway.node import GatewayNode
from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import BadParameter, data, hash32, quantity64
from services.gateway.rpc.replays import Replays
from services.gateway.rpc.shapes import Json, show_bytes
from shared.types.identity import RuntimeId
from shared.types.sight import MAX_STYLE_BYTES, ViewRequest

NANOSECONDS = 1_000_000_000
SIGNATURE_LENGTHS = (64, 65)
"""Of the debug key, and of an account [bytes]."""
FIELDS = ("transaction", "asker", "expires", "signature")


def view_request(value: Any) -> tuple[ViewRequest, bytes]:
    """Read a request and its signature: `{transaction, asker, expires, style?, signature}`."""
    if type(value) is not dict:
        raise BadParameter("must be an object of transaction, asker, expires and signature")
    fields = fold_names(value)
    for name in FIELDS:
        if fields.get(name) is None:
            raise BadParameter(f"missing required field '{name}'")
    style, signature = fields.get("style", ""), data(fields["signature"])
    if type(style) is not str or len(style.encode()) > MAX_STYLE_BYTES:
        raise BadParameter(f"style: must be a text of at most {MAX_STYLE_BYTES} bytes")
    if len(signature) not in SIGNATURE_LENGTHS:
        raise BadParameter("signature: must have 64 bytes of the debug key, or 65 of the sender")
    request = ViewRequest(
        hash32(fields["transaction"]),
        hash32(fields["asker"]),
        quantity64(fields["expires"]),
        style.encode(),
    )
    return request, signature


class SightMethods:
    """Answers of the namespace."""

    def __init__(self, node: GatewayNode, replays: Replays) -> None:
        self._node, self._replays = node, replays

    @rpc_method("oasis_viewTransaction", view_request)
    async def view_transaction(self, request: tuple[ViewRequest, bytes]) -> Json:
        """What a transaction did, sealed to who may see it: its sender, or the debug key."""
        sealed = await self._replays.view(*request)
        return {
            "epoch": hex(sealed.epoch),
            "nonce": show_bytes(sealed.nonce),
            "data": show_bytes(sealed.data),
        }

    @rpc_method("oasis_viewParameters")
    async def view_parameters(self) -> Json:
        """What a view request is signed for, and the consensus time by which it expires."""
        status = await self._node.consensus.fetch_status()
        settings = self._node.settings
        return {
            "chainContext": self._node.chain_context,
            "runtimeId": show_bytes(RuntimeId(settings.runtime_id)),
            "incarnation": hex(self._node.index.incarnation),
            "chainId": hex(settings.chain_id),
            "time": hex(status.time_ns // NANOSECONDS),
        }
