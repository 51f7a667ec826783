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
        """Put parameters that came by name in order; names in any case, as fields of objects."""
        given = fold_names(untrusted)
        values = [given.pop(name.lower(), None) for name in self.names]
        if given:
            raise InvalidParameters(f"unknown parameter {min(given)[:MAX_NAME_CHARACTERS]!r}")
        return values


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
                    metrics.rpc_requests.labels(name),
                    metrics.rpc_failures.labels(name),
                    metrics.rpc_seconds.labels(name).observe,
                )
    return table
