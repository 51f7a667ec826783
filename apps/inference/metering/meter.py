"""The meter beside the service: credit before an answer, its price after it, a root an epoch."""

import asyncio
from collections import OrderedDict
from typing import Protocol

from apps.inference.documents.canonical import Document, canonical, text_of
from apps.inference.errors import BadApiKey, NoSuchReceipt
from apps.inference.metering.usage import Epoch, Pays, Prices, Usage

KEPT_EPOCHS = 64
"""Epochs whose proofs are given; receipts themselves are kept for less."""


class Chain(Protocol):
    """What the meter asks of the contract; it may block."""

    def credit_wei(self, key_hash: bytes) -> int:
        """Give what is left of a key's credit."""
        ...

    def next_epoch(self) -> int:
        """Give the number of the epoch that is to be committed to."""
        ...

    def commit(self, epoch: Epoch) -> None:
        """Charge an epoch."""
        ...

    def root_of(self, number: int) -> bytes:
        """Give the root that an epoch was committed to with."""
        ...


class Meter:
    """One service's meter. One question or transaction at a time is out."""

    def __init__(
        self, chain: Chain, prices: Prices, most_tokens: int, sources_wei: int = 0
    ) -> None:
        """Take prices of tokens, and what an answer from sources costs beside them [wei]."""
        self._chain, self._prices = chain, prices
        self._tokens_wei = most_tokens * max(prices.prompt_wei, prices.completion_wei)
        self._most_wei = self._tokens_wei + sources_wei
        self._usage, self._turn = Usage(), asyncio.Lock()
        self._epochs: OrderedDict[int, Epoch] = OrderedDict()
        self._sent: Epoch | None = None

    async def admit(self, owner: bytes | None) -> None:
        """
        Set aside what an answer may cost at most; `release` it after.

        Raises
        ------
        BadApiKey, NoCredit, ChainAway, ChainRefused
            Nobody is there to pay; see each class.
        """
        if owner is None:
            raise BadApiKey("answers are paid from the credit of an API key")
        if self._usage.is_full:
            await self.commit()
        async with self._turn:
            credit_wei = await asyncio.to_thread(self._chain.credit_wei, owner)
            self._usage.reserve(owner, self._most_wei, credit_wei)

    def release(self, owner: bytes | None) -> None:
        """Give back what `admit` set aside."""
        if owner is not None:
            self._usage.release(owner, self._most_wei)

    def record(
        self,
        owner: bytes | None,
        prompt_tokens: int,
        completion_tokens: int,
        receipt: Document,
        pays: Pays = (),
    ) -> None:
        """Count an answer and its receipt, with what its sources are paid for it."""
        if owner is not None:
            cost = self._prices.cost(prompt_tokens, completion_tokens)
            cost = min(cost, self._tokens_wei) + sum(amount for _, amount in pays)
            self._usage.add(owner, cost, canonical(receipt), pays)

    async def commit(self) -> Epoch | None:
        """
        Charge what was used since the last time; None where nothing was.

        Raises
        ------
        ChainAway, ChainRefused
            Nothing is lost, and nothing charged twice: the same is sent the next time.
        """
        async with self._turn:
            number = await asyncio.to_thread(self._chain.next_epoch)
            if self._sent is not None and number > self._sent.number:
                sent, self._sent = self._sent, None
                # It is on the chain, though its answer got lost; or another instance was faster.
                if await asyncio.to_thread(self._chain.root_of, sent.number) == sent.root:
                    self._settle(sent)
            # What may be on its way is sent again as it was: a number is charged once.
            epoch = self._sent or self._usage.end(number)
            if not epoch.leaves:
                return None
            self._sent = epoch
            await asyncio.to_thread(self._chain.commit, epoch)
            self._settle(epoch)
            return epoch

    def _settle(self, epoch: Epoch) -> None:
        self._sent = None
        self._usage.forget(epoch)
        self._epochs[epoch.number] = epoch
        while len(self._epochs) > KEPT_EPOCHS:
            self._epochs.popitem(last=False)

    def proof(self, receipt: Document) -> Document:
        """Give what shows a receipt to be one of a committed epoch, or raise `NoSuchReceipt`."""
        leaf = canonical(receipt)
        for number, epoch in self._epochs.items():
            if leaf in epoch.leaves:
                index = epoch.leaves.index(leaf)
                return {
                    "receipt_id": text_of(receipt, "receipt_id"),
                    "epoch": number,
                    "root": epoch.root.hex(),
                    "index": index,
                    "receipts": len(epoch.leaves),
                    "aunts": [one.hex() for one in epoch.proof(index)],
                }
        raise NoSuchReceipt("the receipt's epoch is not committed to, or too long ago")
