"""
The market by an instance of its app, which signs by the key that the chain knows it by.

What is asked comes from a gateway that may lie; what is told is encrypted to the ParaTime by the
app's daemon, and so is what comes back. Only that is to be believed.
"""

from typing import Any

from eth_abi.abi import decode, encode
from eth_abi.exceptions import DecodingError

from apps.account import load_artifact
from apps.data_market.chain.contracts import (
    MARKET,
    MarketView,
    Result,
    Started,
    error_name,
    read_terms,
)
from apps.data_market.errors import ContractRefused, GatewayAway
from apps.errors import CallRefused
from apps.instance import Daemon, tell
from shared.crypto.hashes import keccak256

GAS, GAS_EACH = 500_000, 100_000
"""More than any step takes, and what it takes for each dataset."""


class InstanceMarket(MarketView):
    """The market by an instance. Each step done again changes nothing."""

    def __init__(self, url: str, daemon: Daemon, address: str) -> None:
        """Reach the market at an address; raises as `MarketView`."""
        super().__init__(url, address)
        self._daemon, self._contract = daemon, self._public.contract(MARKET, address)

    def start(self, id_: bytes, datasets: int) -> Started:
        """Spend the budgets of so many datasets, once; gives what the job is about."""
        raw = self._tell("start", [id_], datasets)
        try:
            terms, pot_wei, committed_at = decode(_types("start", "outputs"), raw)
        except DecodingError as error:
            raise GatewayAway("a start gives something else than a job") from error
        return Started(read_terms(terms), pot_wei, tuple(committed_at))

    def report(self, id_: bytes, result: Result) -> None:
        """Say what was found, by its hash."""
        self._tell("report", [id_, result_hash(id_, result)])

    def settle(self, id_: bytes, result: Result) -> None:
        """Pay what two nodes reported alike. Raises `ContractRefused`, `BadResult` before."""
        self._tell("settle", [id_, result.as_tuple()], len(result.masked_wei))

    def expire(self, id_: bytes, datasets: int) -> None:
        """Give the pot of a job back whose deadline has passed, and budgets where none began."""
        self._tell("expire", [id_], datasets)

    def _tell(self, name: str, arguments: list[Any], datasets: int = 0) -> bytes:
        """Send a step; raises `ContractRefused` by the contract's error, and `AppdAway`."""
        try:
            return tell(self._daemon, self._contract, name, arguments, GAS + datasets * GAS_EACH)
        except CallRefused as error:
            refusal = error_name(error.data) if error.data else error.message
            raise ContractRefused(refusal) from error


def result_hash(id_: bytes, result: Result) -> bytes:
    """Hash of a result, as the contract makes it: no gateway is asked, which would see it."""
    (kind,) = _types("resultHash", "inputs")[1:]
    return keccak256(encode(["bytes32", kind], [id_, result.as_tuple()]))


def _types(name: str, side: str) -> list[str]:
    """Types of a function's inputs or outputs."""
    entry = next(one for one in load_artifact(MARKET)["abi"] if one.get("name") == name)
    return [_type(field) for field in entry[side]]


def _type(field: dict[str, Any]) -> str:
    if not field["type"].startswith("tuple"):
        return str(field["type"])
    parts = ",".join(_type(part) for part in field["components"])
    return f"({parts}){field['type'].removeprefix('tuple')}"
