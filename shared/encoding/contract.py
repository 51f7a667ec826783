"""
Contracts: a `Protocol` class is the list of messages between two processes.

Each public method of the class is one message: its parameters are the fields of the request, its
return type is the response, both in record format. `async def` and `def` look the same on the wire;
a return type `AsyncIterator[X]` is a stream of X. So the Protocol is the only place where a message
is written down. A transport carries bodies as bytes and looks into none.
"""

import enum
import functools
import inspect
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, cast, get_args, get_origin

from shared.encoding.cbor import MalformedCbor
from shared.encoding.record import (
    MalformedRecord,
    RecordCodec,
    arguments_codec_of,
    native_codec_of,
)
from shared.errors import BadRequest, MethodNotFound

ITEMS_REMEMBERED = 2
"""Newest items of a method's streams."""
P = TypeVar("P")
F = TypeVar("F", bound=Callable[..., Any])


class Access(enum.Enum):
    """Who may ask a method."""

    PUBLIC = "public"
    PEERS = "peers"
    """Nodes that prove a registered key."""
    KNOWN = "known"
    """Nodes, and gateways, that prove a key which the genesis or the registry names."""
    DEV_CONTROL = "dev control"
    """Who has the token of the network's dev controls."""


def peers_only(method: F) -> F:
    """Mark a method of a contract: only registered nodes may ask it."""
    method.__dict__["access"] = Access.PEERS
    return method


def known_only(method: F) -> F:
    """Mark a method of a contract: only nodes and gateways of the network may ask it."""
    method.__dict__["access"] = Access.KNOWN
    return method


def dev_control(method: F) -> F:
    """Mark a method of a contract: it needs the token of dev controls."""
    method.__dict__["access"] = Access.DEV_CONTROL
    return method


class Transport(Protocol):
    """Carries requests to the other side, whatever the wire is."""

    async def call(self, method: str, body: bytes) -> bytes:
        """Send one request; return the body of its response or raise its error."""
        ...

    def stream(self, method: str, body: bytes) -> AsyncIterator[bytes]:
        """Open a stream; give the bodies of its events."""
        ...


class NoticeTransport(Transport, Protocol):
    """Also carries messages whose answer nobody waits for."""

    def notify(self, method: str, body: bytes) -> None:
        """Send a message; whether it arrives is not known."""
        ...


@dataclass(frozen=True)
class Method:
    """One message of a contract."""

    name: str
    parameters: tuple[str, ...]
    required: frozenset[str]
    types: dict[str, Any]
    returns: Any
    is_stream: bool
    access: Access = Access.PUBLIC
    summary: str = ""
    """First line of its docstring."""

    @functools.cached_property
    def _arguments(self) -> RecordCodec:
        return arguments_codec_of(self.name, self.types, self.required)

    @functools.cached_property
    def _result(self) -> RecordCodec:
        return native_codec_of(self.returns)

    nulls: tuple[str, ...] = ()
    """Parameters without a default that may be None, which on the wire is to be absent."""

    def encode_arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Arguments as the body of a request."""
        given = dict(zip(self.parameters, args, strict=False)) | kwargs
        unknown = given.keys() - self.types.keys()
        if unknown or len(args) > len(self.parameters):
            raise TypeError(f"{self.name}: unexpected arguments {sorted(unknown)}")
        return self._arguments.encode(given)

    def decode_arguments(self, untrusted: bytes) -> dict[str, Any]:
        """Body of a request as arguments, or `BadRequest`."""
        try:
            arguments: dict[str, Any] = self._arguments.decode_loosely(untrusted)
        except (MalformedCbor, MalformedRecord) as error:
            raise BadRequest(f"{self.name}: {error.message}") from error
        for name in self.nulls:
            arguments.setdefault(name, None)
        return arguments

    def encode_result(self, result: Any) -> bytes:
        """Result, or one item of a stream, as a body."""
        return self._result.encode(result)

    def decode_result(self, untrusted: bytes) -> Any:
        """Body of a response as a result."""
        return self._result.decode_loosely(untrusted)

    @functools.cached_property
    def decode_item(self) -> Callable[[bytes], Any]:
        """
        Body of an event as an item of a stream.

        Who follows several servers gets the same item from each, and reads it once.
        """
        return functools.lru_cache(ITEMS_REMEMBERED)(self.decode_result)


@functools.cache
def methods_of(contract: type) -> dict[str, Method]:
    """Read the message table of a Protocol class."""
    table: dict[str, Method] = {}
    for name, function in inspect.getmembers(contract, inspect.isfunction):
        if name.startswith("_"):
            continue
        hints = typing.get_type_hints(function, include_extras=True)
        returns = hints.pop("return")
        is_stream = get_origin(returns) is AsyncIterator
        parameters = [
            p for p in inspect.signature(function).parameters.values() if p.name != "self"
        ]
        bare = [p.name for p in parameters if p.default is inspect.Parameter.empty]
        nulls = tuple(name for name in bare if type(None) in get_args(hints[name]))
        table[name] = Method(
            name=name,
            parameters=tuple(p.name for p in parameters),
            required=frozenset(bare).difference(nulls),
            types={p.name: hints[p.name] for p in parameters},
            returns=get_args(returns)[0] if is_stream else returns,
            is_stream=is_stream,
            access=getattr(function, "access", Access.PUBLIC),
            summary=(inspect.getdoc(function) or "").partition("\n")[0],
            nulls=nulls,
        )
    return table


def find_method(contract: type, name: str) -> Method:
    """Look a message up, or raise `MethodNotFound`."""
    method = methods_of(contract).get(name)
    if method is None:
        raise MethodNotFound(f"{contract.__name__} has no method {name!r}")
    return method


def client_of(contract: type[P], transport: Transport) -> P:
    """Make an object that fulfils the contract by asking the other side."""
    return cast("P", _Client(contract, transport))


def notify_all(
    contract: type, transports: Iterable[NoticeTransport], method: str, *args: Any
) -> None:
    """Send one message of a contract to many receivers, without waiting for anything."""
    body = find_method(contract, method).encode_arguments(args, {})
    for transport in transports:
        transport.notify(method, body)


class _Client:
    """Turns method calls into requests; the method table decides what exists."""

    def __init__(self, contract: type, transport: Transport) -> None:
        self._contract, self._transport = contract, transport

    def __getattr__(self, name: str) -> Any:
        method = methods_of(self._contract).get(name)
        if method is None:
            raise AttributeError(name)
        transport = self._transport

        def open_stream(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            return _decoded(method, transport.stream(name, method.encode_arguments(args, kwargs)))

        async def call(*args: Any, **kwargs: Any) -> Any:
            return method.decode_result(
                await transport.call(name, method.encode_arguments(args, kwargs))
            )

        bound: Any = open_stream if method.is_stream else call
        # Kept on the instance: the next use of this method does not come here.
        self.__dict__[name] = bound
        return bound


async def _decoded(method: Method, bodies: AsyncIterator[bytes]) -> AsyncIterator[Any]:
    async for body in bodies:
        yield method.decode_item(body)


async def serve_call(contract: type, implementation: Any, name: str, untrusted: bytes) -> bytes:
    """Answer one request by the object that fulfils the contract; return the response's body."""
    method = find_method(contract, name)
    result = getattr(implementation, name)(**method.decode_arguments(untrusted))
    if isinstance(result, Awaitable):
        result = await result
    return method.encode_result(result)


def serve_stream(
    contract: type, implementation: Any, name: str, untrusted: bytes
) -> AsyncIterator[bytes]:
    """Open a stream on the object that fulfils the contract; give the events' bodies."""
    method = find_method(contract, name)
    items = getattr(implementation, name)(**method.decode_arguments(untrusted))
    return _encoded(method, items)


async def _encoded(method: Method, items: AsyncIterator[Any]) -> AsyncIterator[bytes]:
    async for item in items:
        yield method.encode_result(item)


def serve_call_now(contract: type, implementation: Any, name: str, untrusted: bytes) -> bytes:
    """Answer one request where nothing is awaited, as inside an enclave."""
    method = find_method(contract, name)
    return method.encode_result(getattr(implementation, name)(**method.decode_arguments(untrusted)))
