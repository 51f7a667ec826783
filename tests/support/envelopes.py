"""
Consensus transactions as an attacker makes them, from honest ones.

What can be changed is changed at every layer: the bytes of the envelope, its fields, the
transaction inside of it and the body inside of that, the records that a body carries signed - each
signed anew by its keys where that lets it reach further.
"""

import copy
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cbor2

from shared.crypto.signing import Signer
from shared.types.transaction import CONSENSUS_TRANSACTION
from tests.support.hostile import HOSTILE, at, encode_anything, places


@dataclass(frozen=True)
class Honest:
    """A transaction that its sender would send."""

    by: Signer
    method: str
    body: bytes
    inner: tuple[tuple[Signer, ...], bytes] | None = None
    """Who signs the record in the body's `untrusted_raw_value`, and in which context."""


class Attacker:
    """Makes hostile transactions, all by one source of chance."""

    def __init__(
        self, chain_context: str, chance: random.Random, fee: dict[str, int] | None = None
    ) -> None:
        """`fee` is what honest fields offer: enough to reach the rules, or None."""
        self._context = CONSENSUS_TRANSACTION.for_chain(chain_context)
        self._chance, self._fee = chance, fee

    def attack(self, honest: Honest, nonce: int) -> bytes:
        """One hostile transaction; `nonce` is the sender's next one."""
        attacks: Sequence[Callable[[Honest, int], bytes]] = (
            self.in_the_body,
            self.in_the_body,
            self.in_the_inner_record,
            self.in_the_inner_record,
            self.in_the_transaction,
            self.in_the_envelope,
            self.in_the_bytes,
        )
        return self._chance.choice(attacks)(honest, nonce)

    def in_the_body(self, honest: Honest, nonce: int) -> bytes:
        """Spoil the body; signed, so that it reaches its rule."""
        return self._sign(honest, self._transaction(honest, nonce, self._spoil(honest.body)))

    def in_the_inner_record(self, honest: Honest, nonce: int) -> bytes:
        """Spoil the record that the body carries, and sign it with all its keys."""
        if honest.inner is None:
            return self.in_the_body(honest, nonce)
        signers, context = honest.inner
        wire = cbor2.loads(honest.body)
        inner = self._spoil(wire["untrusted_raw_value"])
        wire["untrusted_raw_value"] = inner
        wire["signatures"] = [
            {"public_key": one.public_key, "signature": one.sign(context, inner)} for one in signers
        ]
        body = cbor2.dumps(wire, canonical=True)
        return self._sign(honest, self._transaction(honest, nonce, body))

    def in_the_transaction(self, honest: Honest, nonce: int) -> bytes:
        """Spoil nonce, method, fee or body as a whole; signed."""
        wire = cbor2.loads(self._transaction(honest, nonce, honest.body))
        wire.setdefault("fee", {"amount": 0, "gas": 0})
        return self._sign(honest, self._spoil(encode_anything(wire)))

    def in_the_envelope(self, honest: Honest, nonce: int) -> bytes:
        """Spoil a field of the envelope."""
        return self._spoil(self._sign(honest, self._transaction(honest, nonce, honest.body)))

    def in_the_bytes(self, honest: Honest, nonce: int) -> bytes:
        """Change, cut, repeat or insert bytes anywhere."""
        raw = bytearray(self._sign(honest, self._transaction(honest, nonce, honest.body)))
        for _ in range(self._chance.randint(1, 4)):
            at = self._chance.randrange(len(raw) + 1)
            match self._chance.randrange(4):
                case 0 if at < len(raw):
                    raw[at] = self._chance.randrange(256)
                case 1:
                    del raw[at : at + self._chance.randint(1, 40)]
                case 2:
                    raw[at:at] = raw[: self._chance.randint(1, 40)]
                case _:
                    raw[at:at] = self._chance.randbytes(self._chance.randint(1, 9))
        return bytes(raw)

    def _transaction(self, honest: Honest, nonce: int, body: bytes) -> bytes:
        wire = {"nonce": nonce, "method": str(honest.method), "body": body}
        if self._fee is not None:
            wire["fee"] = self._fee
        return cbor2.dumps(wire, canonical=True)

    def _sign(self, honest: Honest, raw: bytes) -> bytes:
        signature = honest.by.sign(self._context, raw)
        wire = {
            "signature": {"public_key": honest.by.public_key, "signature": signature},
            "untrusted_raw_value": raw,
        }
        return cbor2.dumps(wire, canonical=True)

    def _spoil(self, encoded: bytes) -> bytes:
        """Put something hostile at a place of an encoded value, or beside it."""
        value = copy.deepcopy(cbor2.loads(encoded))
        path = self._chance.choice(places(value))
        hostile = self._hostile(value, path)
        if not path:
            return encode_anything(hostile)
        *parents, last = path
        container = at(value, parents)
        match self._chance.randrange(5):
            case 0 if isinstance(container, dict):
                del container[last]
            case 1 if isinstance(container, dict):
                container["unheard_of"] = hostile
            case 1:
                container.insert(last, container[last])
            case _:
                container[last] = hostile
        return encode_anything(value)

    def _hostile(self, value: Any, path: tuple[Any, ...]) -> Any:
        """Choose something hostile; half of the time of the kind that is expected there."""
        expected = type(at(value, path))
        alike = [one for one in HOSTILE if type(one) is expected]
        return self._chance.choice(alike if alike and self._chance.random() < 0.5 else HOSTILE)
