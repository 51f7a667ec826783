"""How a method is declared: its name and parameters stand above the function that answers it."""

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from prometheus_client import Counter

from services.gateway import metrics
from services.gateway.rpc.errors import InvalidParameters
from services.gateway.rpc.field_names import fold_names
from services.gateway.rpc.parameters import REQUIRED, BadParameter, Parameter

MAX_NAME_CHARACTERS = 64
OTHER_NAMES = {
    "account": ("address",),
    "block": ("blocktag", "blocknumber"),
    "count": ("blockcount",),
    "hash": ("transactionhash", "blockhash"),
    "id": ("filteridentifier",),
    "last": ("newestblock",),
    "options": ("traceconfig",),
    "percentiles": ("rewardpercentiles",),
    "position": ("transactionindex",),
    "query": ("filter",),
    "raw": ("transaction",),
    "request": ("transaction",),
    "sender": ("address",),
    "slot": ("storageslot",),
    "slots": ("storagekeys",),
    "wanted": ("payload",),
    "withtransactions": ("hydratedtransactions",),
}
"""Of parameters, by ours: those of ethereum/execution-apis, in lower case and without spaces."""
F = TypeVar("F", bound=Callable[..., Awaitable[Any]])


def rpc_method(name: str, *parameters: Parameter | Callable[[Any], Any]) -> Callable[[F], F]:
    """Declare an answer; a bare reader is a required parameter."""

    def declare(function: F) -> F:
        function.__rpc__ = (  # type: ignore[attr-defined]
            name,
            tuple(one if isinstance(one, Parameter) else Parameter(one) for one in parameters),
        )
        return function

    return declare


def also(*names: str) -> Callable[[F], F]:
    """Declare other names of an answer; stands above `rpc_method`."""

    def declare(function: F) -> F:
        function.__rpc_also__ = names  # type: ignore[attr-defined]
        return function

    return declare


def names_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """Give the names of an answer's parameters as clients write them."""
    _, *own = inspect.signature(function).parameters
    words = (name.strip("_").split("_") for name in own)
    return tuple(first + "".join(map(str.capitalize, rest)) for first, *rest in words)


@dataclass(frozen=True, slots=True)
class Method:
    """A method ready to be called: everything that can be prepared is."""

    name: str
    answer: Callable[..., Awaitable[Any]]
    parameters: tuple[Parameter, ...]
    names: tuple[str, ...]
    """Of the parameters, in order."""
    requests: Counter
    failures: Counter
    observe_seconds: Callable[[float], None]

    def read(self, untrusted: Any) -> list[Any]:
        """Read the parameters, or raise `InvalidParameters` in go-ethereum's words."""
        expected = self.parameters
        if untrusted is None:
            untrusted = []
        elif type(untrusted) is dict:
            untrusted = self._in_order(untrusted)
        elif type(untrusted) is not list:
            raise InvalidParameters("non-array args")
        if len(untrusted) > len(expected):
            raise InvalidParameters(f"too many arguments, want at most {len(expected)}")
        values = []
        for position, parameter in enumerate(expected):
            value = untrusted[position] if position < len(untrusted) else None
            if value is None:
                if parameter.default is REQUIRED:
                    raise InvalidParameters(f"missing value for required argument {position}")
                values.append(parameter.default)
                continue
            try:
                values.append(parameter.read(value))
            except BadParameter as error:
                raise InvalidParameters(f"invalid argument {position}: {error}") from None
        return values

    def _in_order(self, untrusted: dict[str, Any]) -> list[Any]:
        """
        Put parameters that came by name in order; names in any case, as fields of objects.

        They are those of `rpc.discover`, or of Ethereum's own description where that differs.
        """
        given = {name.replace(" ", ""): value for name, value in fold_names(untrusted).items()}
        values = [self._take(name.lower(), given) for name in self.names]
        if given:
            unknown = min(given)[:MAX_NAME_CHARACTERS]
            raise InvalidParameters(f"unknown parameter {unknown!r}: {self._usage()}")
        for name, value, parameter in zip(self.names, values, self.parameters, strict=True):
            if value is None and parameter.default is REQUIRED:
                raise InvalidParameters(f"missing parameter {name!r}: {self._usage()}")
        return values

    @staticmethod
    def _take(name: str, given: dict[str, Any]) -> Any:
        if name in given:
            return given.pop(name)
        for other in OTHER_NAMES.get(name, ()):
            if other in given:
                return given.pop(other)
        return None

    def _usage(self) -> str:
        """Say which parameters it takes."""
        if not self.names:
            return f"{self.name} takes none"
        named = zip(self.names, self.parameters, strict=True)
        shown = (name if parameter.default is REQUIRED else f"{name}?" for name, parameter in named)
        return f"{self.name} takes {', '.join(shown)}"


def meters(name: str) -> tuple[Counter, Counter, Callable[[float], None]]:
    """Give what counts a method's requests and failures, and takes their time [s]."""
    return (
        metrics.rpc_requests.labels(name),
        metrics.rpc_failures.labels(name),
        metrics.rpc_seconds.labels(name).observe,
    )


def methods_of(*namespaces: object) -> dict[str, Method]:
    """Collect what the namespaces declare."""
    table: dict[str, Method] = {}
    for namespace in namespaces:
        for attribute in dir(type(namespace)):
            function = getattr(type(namespace), attribute)
            declared = getattr(function, "__rpc__", None)
            if declared is None:
                continue
            first, parameters = declared
            for name in (first, *getattr(function, "__rpc_also__", ())):
                if name in table:
                    raise ValueError(f"{name} is declared twice")
                table[name] = Method(
                    name,
                    getattr(namespace, attribute),
                    parameters,
                    names_of(function)[: len(parameters)],
                    *meters(name),
                )
    return table
