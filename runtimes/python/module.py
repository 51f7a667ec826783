"""
Modules: what a ParaTime is made of.

A module is a class with a name, fields, and methods that `@call` or `@query` opens to the world.
`write_note` of the module `notes` is `notes.WriteNote` on the wire. A method takes the context and,
where it has one, an argument whose annotation is its wire format; so is its result.
"""

import inspect
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from runtimes.python.context import Context
from runtimes.python.state import Field
from shared.errors import Rejected

F = TypeVar("F", bound=Callable[..., Any])
C = TypeVar("C", bound=type)


class BadModule(Rejected, module="python", code=6):
    """A module or ParaTime is not declared as it must be."""


@dataclass(frozen=True, slots=True)
class Exposed:
    """How a method is open to the world."""

    is_query: bool
    gas: int


@dataclass(frozen=True, slots=True)
class Method:
    """A method by its name on the wire."""

    module: str
    name: str
    function: Callable[..., Any]
    takes: Any
    """Type of the argument; None where there is none."""
    gives: Any
    is_query: bool
    gas: int


def call(*, gas: int = 1_000) -> Callable[[F], F]:
    """Open a method to transactions; `gas` is taken before it runs."""

    def mark(function: F) -> F:
        function.exposed = Exposed(is_query=False, gas=gas)  # type: ignore[attr-defined]
        return function

    return mark


def query(function: F) -> F:
    """Open a method to questions: it has no sender and changes nothing."""
    function.exposed = Exposed(is_query=True, gas=0)  # type: ignore[attr-defined]
    return function


def event(code: int) -> Callable[[C], C]:
    """Make a frozen dataclass an event of its module."""

    def mark(kind: C) -> C:
        kind.event_code = code  # type: ignore[attr-defined]
        return kind

    return mark


class _Sealed(type):
    """Classes of modules that do not change after they are made."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise BadModule(f"{cls.__name__}.{name}: a module keeps state in fields only")


class Module(metaclass=_Sealed):
    """Base of all modules. Its instances hold nothing: what they know is in the state."""

    name: ClassVar[str] = ""
    is_public: ClassVar[bool] = False
    """Whether its state is in the clear even where the ParaTime is confidential."""

    def __setattr__(self, name: str, value: object) -> None:
        raise BadModule(f"self.{name}: a module keeps state in fields only")

    def genesis(self, ctx: Context) -> None:
        """Put the first state in place, once, before the first transaction."""

    def fields(self) -> tuple[Field, ...]:
        """All fields that the class declares."""
        return tuple(value for value in vars(type(self)).values() if isinstance(value, Field))

    def methods(self) -> tuple[Method, ...]:
        """All methods that are open, by their annotations."""
        found = vars(type(self)).items()
        return tuple(self._method(n, f) for n, f in found if hasattr(f, "exposed"))

    def _method(self, name: str, function: Any) -> Method:
        exposed: Exposed = function.exposed
        hints = typing.get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters)[2:]
        if len(parameters) > 1 or any(one not in hints for one in parameters):
            raise BadModule(f"{self.name}.{name} takes the context and one annotated argument")
        takes = hints[parameters[0]] if parameters else None
        wire_name = "".join(part.capitalize() for part in name.split("_"))
        return Method(
            module=self.name,
            name=f"{self.name}.{wire_name}",
            function=getattr(self, name),
            takes=takes,
            gives=hints.get("return"),
            is_query=exposed.is_query,
            gas=exposed.gas,
        )


@dataclass(frozen=True, slots=True)
class ParaTime:
    """A whole program: its modules, and whether it keeps secrets."""

    name: str
    modules: tuple[Module, ...]
    confidential: bool = False
    """Seals the state of all modules that are not public, and takes encrypted calls."""

    def __post_init__(self) -> None:
        """Check names, and tell fields where they lie."""
        names = [module.name for module in self.modules]
        if len({*names, "core", "accounts"}) != len(names) + 2:
            raise BadModule("modules have names of their own; core and accounts are there already")
        for module in self.modules:
            if not module.name.isidentifier():
                raise BadModule(f"{module.name!r} is no name of a module")
            for one in module.fields():
                one.bind(module.name)
