"""Fetches what a transaction did from a gateway, for the owner of the network or the sender."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson

from qanat.view.envelopes import EpochKey
from qanat.view.gateway import Gateway, GatewaySilent
from qanat.view.sight import Asked, Place, ask, open_view, sign_as_owner, sign_as_sender
from shared.crypto.signing import Signer
from shared.types.identity import Epoch
from shared.types.sight import NONCE_BYTES, SealedView, View, ViewRequest

LIFETIME_S = 60
"""Of a request, in consensus time."""
ATTEMPTS = 3
"""An answer may be sealed in an epoch, and the key fetched in the next."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the gateway says of where its chain stands."""

    place: Place
    chain_id: int
    time_s: int


Sign = Callable[[ViewRequest, Standing], bytes]


def as_owner(debug_key: Signer) -> Sign:
    """Sign with the network's debug key."""
    return lambda request, standing: sign_as_owner(request, debug_key, standing.place)


def as_sender(secret: bytes) -> Sign:
    """Sign with the account that sent the transaction."""
    return lambda request, standing: sign_as_sender(request, secret, standing.chain_id)


async def fetch_view(
    gateway: Gateway,
    transaction: bytes,
    sign: Sign,
    *,
    style: bytes = b"",
    envelope_secret: bytes | None = None,
) -> View:
    """
    Ask what a transaction did.

    Parameters
    ----------
    style : `bytes`, optional
        JSON of a form of trace, of the debug key only.
    envelope_secret : `bytes`, optional
        X25519 secret of the envelope in the transaction; who asks as its sender needs it.

    Raises
    ------
    GatewayRefused
        The enclave refuses: it is not for the asker to see, or there is no such transaction.
    GatewaySilent, NotSealedToUs
        There is no answer, or none that an enclave made for this request.
    """
    standing = read_standing(await gateway.ask("oasis_viewParameters", [], {}))
    expires_s = standing.time_s + LIFETIME_S
    asked = ask(transaction, expires_s, style=style, secret=envelope_secret)
    wire = _wire_of(asked, sign(asked.request, standing))
    for _ in range(ATTEMPTS):
        sealed, key = await gateway.ask_all(
            [("oasis_viewTransaction", [wire]), ("oasis_callDataPublicKey", [])], {}
        )
        answer, epoch_key = read_sealed(sealed), read_key(key)
        if answer.epoch == epoch_key.epoch:
            break
    return open_view(answer, asked, epoch_key)


def _wire_of(asked: Asked, signature: bytes) -> dict[str, Any]:
    request = asked.request
    return {
        "transaction": "0x" + request.transaction.hex(),
        "asker": "0x" + request.asker.hex(),
        "expires": hex(request.expires_s),
        "style": request.style.decode(),
        "signature": "0x" + signature.hex(),
    }


def read_standing(untrusted: Any) -> Standing:
    """Read `oasis_viewParameters`."""
    try:
        place = Place(
            untrusted["chainContext"],
            bytes.fromhex(untrusted["runtimeId"][2:]),
            int(untrusted["incarnation"], 16),
        )
        standing = Standing(place, int(untrusted["chainId"], 16), int(untrusted["time"], 16))
        bytes.fromhex(place.chain_context)
    except (KeyError, TypeError, ValueError):
        raise GatewaySilent("the gateway does not say where its chain stands") from None
    return standing


def read_sealed(untrusted: Any) -> SealedView:
    """Read an answer that an enclave sealed."""
    try:
        epoch, nonce, data = (untrusted[name] for name in ("epoch", "nonce", "data"))
        answer = SealedView(
            Epoch(int(epoch, 16)), bytes.fromhex(nonce[2:]), bytes.fromhex(data[2:])
        )
    except (KeyError, TypeError, ValueError):
        raise GatewaySilent("the gateway's answer is no sealed view") from None
    if len(answer.nonce) != NONCE_BYTES:
        raise GatewaySilent("the gateway's answer is no sealed view")
    return answer


def read_key(untrusted: Any) -> EpochKey:
    """Read `oasis_callDataPublicKey`."""
    try:
        key, epoch = bytes.fromhex(untrusted["key"][2:]), untrusted.get("epoch", 0)
    except (KeyError, TypeError, ValueError, AttributeError):
        key, epoch = b"", None
    if len(key) != 32 or type(epoch) is not int:
        raise GatewaySilent("the gateway shows no key to which calldata is sealed")
    return EpochKey(epoch, key)


def read_trace(view: View) -> Any:
    """Read the JSON that an enclave made."""
    return orjson.loads(view.trace)
