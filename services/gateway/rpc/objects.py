"""
Reading the objects that clients send: calls, access lists and log filters.

Field names are read in any case, as the original reads them; see `field_names`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from services.gateway.authorizations import Authorization
from services.gateway.index.log_filter import LogFilter
from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.parameters import (
    BadParameter,
    BlockId,
    address,
    block_id,
    data,
    hash32,
    quantity,
    quantity64,
)

MAX_TOPICS = 4
MAX_ALTERNATIVES = 1000
"""Addresses, or topics at one position, of a log filter. Source: go-ethereum eth/filters."""


def _field(folded: dict[str, Any], name: str, read: Callable[[Any], Any]) -> Any:
    """Read a field of an object whose names are folded; None where it is left out or null."""
    value = folded.get(name.lower())
    return None if value is None else _named(name, value, read)


def _named(name: str, value: Any, read: Callable[[Any], Any]) -> Any:
    """Read the value of a field; what is wrong with it is told with its name."""
    try:
        return read(value)
    except BadParameter as error:
        raise BadParameter(f"{name}: {error}") from None


# -- calls -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CallRequest:
    """What `eth_call` and `eth_estimateGas` take; None where the client left it out."""

    caller: bytes | None
    to: bytes | None
    gas: int | None
    gas_price: int | None
    value: int | None
    data: bytes
    authorizations: tuple[Authorization, ...] = ()
    """Accounts that take on code before it (EIP-7702)."""
    max_fee: int | None = None
    """What it offers at most since EIP-1559 [wei/gas]; no call is run at it."""


AccessList = tuple[tuple[bytes, tuple[bytes, ...]], ...]
"""(address, storage keys) of each entry."""


def access_list(value: Any) -> AccessList:
    """Access list of EIP-2930. Source: go-ethereum core/types/gen_access_tuple.go."""
    if type(value) is not list:
        raise BadParameter("must be a list")
    return tuple(map(_access_tuple, value))


def _access_tuple(value: Any) -> tuple[bytes, tuple[bytes, ...]]:
    if type(value) is not dict:
        raise BadParameter("must be an object of address and storageKeys")
    fields = fold_names(value)
    for name in ("address", "storageKeys"):
        if fields.get(name.lower()) is None:
            raise BadParameter(f"missing required field '{name}' for AccessTuple")
    return _field(fields, "address", address), _field(fields, "storageKeys", _storage_keys)


def _storage_keys(value: Any) -> tuple[bytes, ...]:
    if type(value) is not list:
        raise BadParameter("must be a list")
    return tuple(map(hash32, value))


def authorization_list(value: Any) -> tuple[Authorization, ...]:
    """Authorizations of EIP-7702. Source: go-ethereum core/types/gen_authorization.go."""
    if type(value) is not list:
        raise BadParameter("must be a list")
    return tuple(map(_authorization, value))


def _authorization(value: Any) -> Authorization:
    if type(value) is not dict:
        raise BadParameter("must be an object of chainId, address, nonce, yParity, r and s")
    fields = fold_names(value)
    for name in ("chainId", "address", "nonce", "yParity", "r", "s"):
        if fields.get(name.lower()) is None:
            raise BadParameter(f"missing required field '{name}' for SetCodeAuthorization")
    parity = _field(fields, "yParity", quantity64)
    if parity > 255:
        raise BadParameter("yParity: hex number > 8 bits")
    return Authorization(
        _field(fields, "chainId", quantity),
        _field(fields, "address", address),
        _field(fields, "nonce", quantity64),
        parity,
        _field(fields, "r", quantity),
        _field(fields, "s", quantity),
    )


_CALL_FIELDS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    name.lower(): (name, read)
    for name, read in (
        ("from", address),
        ("to", address),
        ("gas", quantity64),
        ("gasPrice", quantity),
        ("maxFeePerGas", quantity),
        ("maxPriorityFeePerGas", quantity),
        ("value", quantity),
        ("nonce", quantity64),
        ("data", data),
        ("input", data),
        ("accessList", access_list),
        ("chainId", quantity),
        ("authorizationList", authorization_list),
    )
}
"""Fields of a call by their folded names, with how they are read."""


def call_request(value: Any) -> CallRequest:
    """Call object; fields that have no effect are checked and dropped, unknown ones ignored."""
    if type(value) is not dict:
        raise BadParameter("must be a call object")
    # By what is given, not by what could be: most calls have two or three fields.
    found: dict[str, Any] = {}
    for folded, given in fold_names(value).items():
        known = _CALL_FIELDS.get(folded)
        if known is not None and given is not None:
            name, read = known
            found[name] = _named(name, given, read)
    get = found.get
    newer = get("input")
    return CallRequest(
        caller=get("from"),
        to=get("to"),
        gas=get("gas"),
        gas_price=get("gasPrice"),
        value=get("value"),
        data=newer if newer is not None else get("data") or b"",
        authorizations=get("authorizationList") or (),
        max_fee=get("maxFeePerGas"),
    )


# -- logs --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LogQuery:
    """What `eth_getLogs` and log subscriptions take."""

    wanted: LogFilter
    block_hash: bytes | None
    from_block: BlockId | None
    to_block: BlockId | None


def log_query(value: Any) -> LogQuery:
    """Filter object."""
    if type(value) is not dict:
        raise BadParameter("must be a filter object")
    fields = fold_names(value)
    query = LogQuery(
        wanted=LogFilter(
            addresses=_alternatives(fields.get("address"), address),
            topics=_topics(fields.get("topics")),
        ),
        block_hash=_field(fields, "blockHash", hash32),
        from_block=_field(fields, "fromBlock", block_id),
        to_block=_field(fields, "toBlock", block_id),
    )
    if query.block_hash is not None and (query.from_block, query.to_block) != (None, None):
        raise BadParameter(
            "cannot specify both BlockHash and FromBlock/ToBlock, choose one or the other"
        )
    return query


def _topics(value: Any) -> tuple[frozenset[bytes], ...]:
    if value is None:
        return ()
    if type(value) is not list:
        raise BadParameter("topics: must be a list")
    if len(value) > MAX_TOPICS:
        raise BadParameter("exceed max topics")
    return tuple(_alternatives(item, hash32) for item in value)


def _alternatives(value: Any, read: Callable[[Any], bytes]) -> frozenset[bytes]:
    """One value or a list of them; null, an empty list, or a null in it, is anything."""
    if value is None:
        return frozenset()
    items = value if type(value) is list else [value]
    if len(items) > MAX_ALTERNATIVES:
        raise BadParameter(f"exceed max addresses or topics of {MAX_ALTERNATIVES}")
    if None in items:
        return frozenset()
    return frozenset(map(read, items))
