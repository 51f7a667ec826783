"""
`oasis_view*` and `oasis_askAsOwner`: questions of owners, carried to an enclave and back.

Nothing is decided here and nothing can be read: a request is signed, the answer is sealed to who
asks, as is what the network's owner asks. The enclave says who may see what
(`runtimes/evm/views.py`, `questions.py`).
"""

from typing import Any

from services.gateway.node import GatewayNode
from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.methods import rpc_method
from services.gateway.rpc.parameters import BadParameter, data, hash32, quantity64
from services.gateway.rpc.replays import Replays
from services.gateway.rpc.shapes import Json, show_bytes
from shared.crypto.signing import SIGNATURE_BYTES
from shared.types.identity import Epoch, Round, RuntimeId
from shared.types.sight import (
    MAX_QUESTION_BYTES,
    MAX_STYLE_BYTES,
    NONCE_BYTES,
    OwnerQuestion,
    SealedView,
    SignedQuestion,
    ViewRequest,
)

NANOSECONDS = 1_000_000_000
SIGNATURE_LENGTHS = (64, 65)
"""Of the debug key, and of an account [bytes]."""
FIELDS = ("transaction", "asker", "expires", "signature")
QUESTION_FIELDS = ("asker", "expires", "round", "epoch", "nonce", "data", "signature")


def view_request(value: Any) -> tuple[ViewRequest, bytes]:
    """Read a request and its signature: `{transaction, asker, expires, style?, signature}`."""
    fields = _required(value, FIELDS)
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


def signed_question(value: Any) -> SignedQuestion:
    """Read a sealed question: `{asker, expires, round, epoch, nonce, data, signature}`."""
    fields = _required(value, QUESTION_FIELDS)
    nonce, sealed = data(fields["nonce"]), data(fields["data"])
    signature = data(fields["signature"])
    if len(nonce) != NONCE_BYTES:
        raise BadParameter(f"nonce: must have {NONCE_BYTES} bytes")
    if len(sealed) > MAX_QUESTION_BYTES:
        raise BadParameter(f"data: must have at most {MAX_QUESTION_BYTES} bytes")
    if len(signature) != SIGNATURE_BYTES:
        raise BadParameter(f"signature: must have {SIGNATURE_BYTES} bytes of the debug key")
    question = OwnerQuestion(
        hash32(fields["asker"]),
        quantity64(fields["expires"]),
        Round(quantity64(fields["round"])),
        Epoch(quantity64(fields["epoch"])),
        nonce,
        sealed,
    )
    return SignedQuestion(question, signature)


def _required(value: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if type(value) is not dict:
        raise BadParameter(f"must be an object of {', '.join(names[:-1])} and {names[-1]}")
    fields = fold_names(value)
    for name in names:
        if fields.get(name) is None:
            raise BadParameter(f"missing required field '{name}'")
    return fields


class SightMethods:
    """Answers of the namespace."""

    def __init__(self, node: GatewayNode, replays: Replays) -> None:
        self._node, self._replays = node, replays

    @rpc_method("oasis_viewTransaction", view_request)
    async def view_transaction(self, request: tuple[ViewRequest, bytes]) -> Json:
        """What a transaction did, sealed to who may see it: its sender, or the debug key."""
        return _show_sealed(await self._replays.view(*request))

    @rpc_method("oasis_askAsOwner", signed_question)
    async def ask_as_owner(self, signed: SignedQuestion) -> Json:
        """What the debug key asks of the state of a round, both sealed: storage, traces, calls."""
        return _show_sealed(await self._replays.ask_as_owner(signed))

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


def _show_sealed(sealed: SealedView) -> Json:
    return {
        "epoch": hex(sealed.epoch),
        "nonce": show_bytes(sealed.nonce),
        "data": show_bytes(sealed.data),
    }
