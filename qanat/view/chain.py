"""What must be known of the chain to seal and sign: epoch keys, and places to tie a query to."""

from dataclasses import dataclass
from typing import Any

from qanat.view.envelopes import EpochKey, Leash
from qanat.view.gateway import Gateway, GatewayRefused, GatewaySilent, Headers, read_answer
from services.gateway.rpc.parameters import hash32, quantity64
from shared.encoding import cbor

METHOD_MISSING_CODE = -32601
NEWEST = ("latest", "pending")
"""Blocks that are the newest one; calls know no pending state."""
SUBCALL = "0x0100000000000000000000000000000000000103"
KEY_QUERY = "0x" + "".join(
    [
        f"{0x40:064x}{0x80:064x}",
        f"{22:064x}" + b"core.CallDataPublicKey".ljust(32, b"\0").hex(),
        f"{1:064x}" + b"\xf6".ljust(32, b"\0").hex(),
    ]
)
"""`core.CallDataPublicKey` with no body, for the sub-call contract. Source: sapphire-paratime
clients/js/src/constants.ts @ 046ab1e."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where the chain stands for a signed query."""

    key: EpochKey
    chain_id: int
    leash: Leash | None
    """None before the first block, where there is nothing to be tied to."""


class Chain:
    """The chain behind a gateway; asks afresh each time, since keys change and chains go back."""

    def __init__(self, gateway: Gateway, *, is_confidential: bool) -> None:
        """Take what was found at the start: a gateway that says otherwise later is not believed."""
        self._gateway = gateway
        self.is_confidential = is_confidential

    async def fetch_key(self, block: Any, headers: Headers) -> EpochKey:
        """Fetch the key to which calls at a block are sealed."""
        (found,) = await self._gateway.ask_all([_key_request(block)], headers)
        return _read_key(found)

    async def fetch_standing(self, caller: bytes, block: Any, headers: Headers) -> Standing:
        """Fetch what a query of a caller at a block is signed over."""
        key, header, nonce, chain_id = await self._gateway.ask_all(
            [
                _key_request(block),
                header_request(block),
                ("eth_getTransactionCount", ["0x" + caller.hex(), "latest"]),
                ("eth_chainId", []),
            ],
            headers,
        )
        if type(header) is not dict:
            raise GatewaySilent("the gateway shows no block to tie a signed query to")
        number = read_answer(quantity64, header.get("number"))
        parent = read_answer(hash32, header.get("parentHash"))
        # The window of hashes that contracts see ends before the newest block.
        leash = Leash(read_answer(quantity64, nonce), number - 1, parent) if number else None
        return Standing(_read_key(key), read_answer(quantity64, chain_id), leash)


async def find_chain(gateway: Gateway) -> Chain:
    """Ask whether a gateway's ParaTime is confidential, or raise `GatewaySilent`."""
    try:
        _read_key(await gateway.ask("oasis_callDataPublicKey", [], {}))
    except GatewayRefused as error:
        if error.error.get("code") != METHOD_MISSING_CODE:
            raise
        return Chain(gateway, is_confidential=False)
    return Chain(gateway, is_confidential=True)


def _key_request(block: Any) -> tuple[str, list[Any]]:
    if block in NEWEST:
        return "oasis_callDataPublicKey", []
    # Of an older epoch, the key that was good then.
    return "eth_call", [{"to": SUBCALL, "data": KEY_QUERY}, block]


def header_request(block: Any) -> tuple[str, list[Any]]:
    """Give the question for a block, by whatever names one in a call."""
    match block:
        case {"blockHash": hash_} | str(hash_) if len(hash_) == 66:
            return "eth_getBlockByHash", [hash_, False]
        case {"blockNumber": number}:
            return "eth_getBlockByNumber", [number, False]
        case _:
            return "eth_getBlockByNumber", ["latest" if block in NEWEST else block, False]


def _read_key(untrusted: Any) -> EpochKey:
    try:
        if type(untrusted) is str:
            return _read_subcall(bytes.fromhex(untrusted[2:]))
        key, epoch = bytes.fromhex(untrusted["key"][2:]), untrusted.get("epoch", 0)
        return _checked(key, epoch)
    except (KeyError, TypeError, ValueError, AttributeError, cbor.MalformedCbor):
        raise GatewaySilent("the gateway shows no key to which calldata is sealed") from None


def _read_subcall(answer: bytes) -> EpochKey:
    """Read `(uint status, bytes cbor)`."""
    length = int.from_bytes(answer[64:96], "big")
    match cbor.decode(answer[96 : 96 + length]):
        case {"epoch": int(epoch), "public_key": {"key": bytes(key)}}:
            return _checked(key, epoch)
        case _:
            raise ValueError("no key")


def _checked(key: bytes, epoch: Any) -> EpochKey:
    if len(key) != 32 or type(epoch) is not int or not 0 <= epoch < 2**64:
        raise ValueError("no key")
    return EpochKey(epoch, key)
