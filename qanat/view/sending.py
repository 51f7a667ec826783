"""Transactions: filled in, sealed, signed, and known by the hash that the tool has."""

import asyncio
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import Any

from qanat.view.calls import Calls, to_hex
from qanat.view.chain import Chain
from qanat.view.envelopes import seal
from qanat.view.errors import ForeignTransaction, MalformedTransaction
from qanat.view.gateway import Gateway, GatewayRefused, Headers, read_answer
from qanat.view.journal import Journal, Sent
from qanat.view.keys import Keyring
from qanat.view.leaks import LeakLog
from services.gateway.authorizations import SET_CODE
from services.gateway.pooled import PooledTransaction, UnreadableTransaction, read_transaction
from services.gateway.rpc.eth_fill import show_unsigned
from services.gateway.rpc.parameters import BadParameter, data, quantity64
from services.gateway.rpc.shapes import show_checksummed, show_pooled
from services.gateway.transactions import (
    LEGACY,
    WITH_ACCESS_LIST,
    WITH_TIP,
    Unsigned,
    Wanted,
    encode_unsigned,
    read_wanted,
    sign,
    unsigned_of,
    with_input,
)

TAKEN_CODES = (4, 6)
"""Errors of `eth_sendRawTransactionSync` for what the pool has taken. Source: EIP-7966."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A transaction as it goes to the gateway."""

    raw: bytes
    shown_hash: str
    """By which the tool knows it."""
    sent: Sent | None = None
    """What was remembered of it just now."""


class Sending:
    """Transactions of tools."""

    def __init__(
        self,
        gateway: Gateway,
        chain: Chain,
        keys: Keyring,
        calls: Calls,
        leaks: LeakLog,
        journal: Journal,
        *,
        passes_foreign: bool,
    ) -> None:
        """Take whether transactions of foreign keys pass in plain, or are refused."""
        self._gateway, self._chain, self._keys, self._calls = gateway, chain, keys, calls
        self._leaks, self._journal, self._passes_foreign = leaks, journal, passes_foreign
        self._turns: defaultdict[bytes, asyncio.Lock] = defaultdict(asyncio.Lock)
        """Of accounts whose nonces are chosen here: one transaction at a time."""

    async def send(self, headers: Headers, untrusted: Any) -> str:
        """Fill in what a tool left out, seal, sign and send; the hash."""
        wanted, caller = _read(untrusted)
        if caller not in self._keys:
            return await self._send_unlocked(headers, untrusted, wanted)
        async with self._turns[caller]:
            unsigned = await self._fill(headers, wanted, caller)
            signed = await self._sign(headers, unsigned, caller, "eth_sendTransaction")
            await self._hand_in(headers, "eth_sendRawTransaction", signed)
        return signed.shown_hash

    async def _send_unlocked(self, headers: Headers, untrusted: Any, wanted: Wanted) -> str:
        """Let the gateway sign: for an account that it impersonates."""
        call = wanted.call
        if not self._calls.is_open(call.data):
            what = "sealed; the gateway signs, or not"
            self._leaks.note("eth_sendTransaction", call.to, call.data, what)
            untrusted = await self._calls.seal_request(headers, untrusted, call)
        return str(await self._gateway.ask("eth_sendTransaction", [untrusted], headers))

    async def sign(self, headers: Headers, untrusted: Any) -> dict[str, Any]:
        """Fill in, seal and sign, without sending."""
        wanted, caller = _read(untrusted)
        unsigned = await self._fill(headers, wanted, caller)
        raw = (await self._sign(headers, unsigned, caller, "eth_signTransaction")).raw
        return {"raw": to_hex(raw), "tx": show_pooled(read_transaction(raw))}

    async def fill(self, headers: Headers, untrusted: Any) -> dict[str, Any]:
        """
        Fill in what a tool left out, for it to sign: in plain, and with gas for an envelope.

        Only counts, prices and a sealed estimate are asked for; what the tool signs is sealed when
        it comes.
        """
        if not self._chain.is_confidential:
            answer = await self._gateway.ask("eth_fillTransaction", [untrusted], headers)
            return read_answer(_object, answer)
        wanted, caller = _read(untrusted)
        unsigned = await self._fill(headers, wanted, caller)
        return {"raw": to_hex(encode_unsigned(unsigned)), "tx": show_unsigned(unsigned)}

    async def send_raw(self, headers: Headers, untrusted: Any) -> str:
        """Seal what a tool signed with one of our keys, and sign it anew; the tool's hash."""
        signed = await self._take(headers, untrusted, "eth_sendRawTransaction")
        await self._hand_in(headers, "eth_sendRawTransaction", signed)
        return signed.shown_hash

    async def send_raw_sync(self, headers: Headers, untrusted: Any, *wait: Any) -> Any:
        """As `send_raw`; the receipt."""
        method = "eth_sendRawTransactionSync"
        signed = await self._take(headers, untrusted, method)
        return self._journal.show(await self._hand_in(headers, method, signed, *wait))

    async def _hand_in(self, headers: Headers, method: str, signed: Signed, *more: Any) -> Any:
        try:
            return await self._gateway.ask(method, [to_hex(signed.raw), *more], headers)
        except GatewayRefused as error:
            if signed.sent is not None and error.error.get("code") not in TAKEN_CODES:
                self._journal.withdraw(signed.sent)
            raise

    async def _take(self, headers: Headers, untrusted: Any, method: str) -> Signed:
        raw = data(untrusted)
        try:
            plain = read_transaction(raw)
        except UnreadableTransaction as error:
            # What cannot be read is sent to nobody: it may show anything.
            raise MalformedTransaction(f"malformed transaction: {error.message}") from None
        if self._calls.is_open(plain.input):
            return Signed(raw, to_hex(plain.hash))
        if plain.sender in self._keys:
            return await self._sign(headers, unsigned_of(plain), plain.sender, method, plain)
        what = "LEAKED" if self._passes_foreign else "refused"
        self._leaks.note(method, plain.to, plain.input, f"{what}; a foreign key signed it")
        if not self._passes_foreign:
            raise ForeignTransaction(
                f"a transaction of {show_checksummed(plain.sender)} would show its calldata, and "
                "`qanat view` holds no key of it to sign it anew, sealed: give it by --key-file, "
                "or let such transactions pass in plain by --foreign pass"
            )
        return Signed(raw, to_hex(plain.hash))

    async def _sign(
        self,
        headers: Headers,
        unsigned: Unsigned,
        sender: bytes,
        method: str,
        plain: PooledTransaction | None = None,
    ) -> Signed:
        """Seal where there is something to hide, and sign. `plain` is what the tool signed."""
        secret = self._keys.secret_of(sender)
        if self._calls.is_open(unsigned.input):
            raw = sign(unsigned, secret)
            return Signed(raw, to_hex(read_transaction(raw).hash))
        what = "sealed and signed" if plain is None else "sealed and signed anew"
        self._leaks.note(method, unsigned.to, unsigned.input, what)
        # Always this moment's key: nobody says before it is mined that an envelope does not open.
        key = await self._chain.fetch_key("latest", headers)
        known = None if plain is None else self._journal.find_shown(to_hex(plain.hash))
        if known is not None and known.sealed_to == key:
            # A tool that hands in the same again means the same, not a second one of its nonce.
            return Signed(known.raw, known.shown_hash)
        sealed = seal(unsigned.input, key)
        raw = sign(with_input(unsigned, sealed.data), secret)
        on_chain = read_transaction(raw)
        if plain is None:
            plain = replace(on_chain, input=unsigned.input)
        sent = Sent(to_hex(on_chain.hash), to_hex(plain.hash), plain, raw, key, sealed.key)
        # Before it is handed in: an event of it may be here before the answer.
        self._journal.add(sent)
        return Signed(raw, sent.shown_hash, sent)

    async def _fill(self, headers: Headers, wanted: Wanted, caller: bytes) -> Unsigned:
        call = wanted.call
        answers = await self._gateway.ask_all(
            [
                ("eth_chainId", []),
                ("eth_getTransactionCount", [to_hex(caller), "pending"]),
                ("eth_gasPrice", []),
            ],
            headers,
        )
        chain_id, nonce, fee = (read_answer(quantity64, one) for one in answers)
        gas = call.gas
        if gas is None:
            estimate = await self._calls.estimate(headers, _request_of(wanted, caller))
            gas = read_answer(quantity64, estimate)
        kind = LEGACY if wanted.accesses is None else WITH_ACCESS_LIST
        fee = fee if call.gas_price is None else call.gas_price
        tip = fee
        if (wanted.max_fee, wanted.max_tip) != (None, None):
            kind, tip = WITH_TIP, wanted.max_tip or 0
            fee = fee + tip if wanted.max_fee is None else wanted.max_fee
        if wanted.authorizations:
            kind = SET_CODE
        return Unsigned(
            type=kind,
            nonce=nonce if wanted.nonce is None else wanted.nonce,
            gas=gas,
            max_fee=fee,
            max_tip=tip,
            to=call.to,
            value=call.value or 0,
            input=call.data,
            chain_id=chain_id if wanted.chain_id is None else wanted.chain_id,
            access_list=wanted.accesses,
            authorizations=wanted.authorizations,
        )


def _read(untrusted: Any) -> tuple[Wanted, bytes]:
    wanted = read_wanted(untrusted)
    if wanted.call.caller is None:
        raise BadParameter("missing from")
    return wanted, wanted.call.caller


def _object(untrusted: Any) -> dict[str, Any]:
    if type(untrusted) is not dict:
        raise BadParameter("is no object")
    return untrusted


def _request_of(wanted: Wanted, caller: bytes) -> dict[str, Any]:
    call = wanted.call
    request = {"from": to_hex(caller), "value": hex(call.value or 0), "data": to_hex(call.data)}
    return request if call.to is None else request | {"to": to_hex(call.to)}
