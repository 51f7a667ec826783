"""
What a ParaTime's program may not contain, so that every node computes the same.

A program is read before it runs. What could make two nodes differ is refused, with the line:
clocks, chance, floats, the order of sets, names of objects in memory, state outside of the tree,
imports from elsewhere. What could run or grow without end is not refused but counted: loops and
functions report their steps, and what makes long values goes through `metering`.

This guards against mistakes and against users' input; a ParaTime's author is trusted by its
users through the measurement, which covers the program.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from shared.errors import Rejected

SDK = "runtimes.python.sdk"
ALLOWED_IMPORTS = frozenset({SDK, "dataclasses", "enum", "typing"})
"""Modules beside the program's own."""

_WHY = {
    "float": "floats round differently; count in units",
    "complex": "floats round differently; count in units",
    "hash": "differs from process to process",
    "id": "is an address in memory",
    "set": "its order differs from process to process; use a dict or a sorted list",
    "frozenset": "its order differs from process to process; use a dict or a sorted tuple",
    "repr": "shows addresses in memory",
    "ascii": "shows addresses in memory",
    "format": "may make values of any length; use an f-string",
    "object": "shows addresses in memory",
    "type": "reaches the interpreter",
    "super": "use composition: modules have no parents of their own",
    "bytearray": "use bytes",
    "memoryview": "use bytes",
    "Exception": "catches what must not be caught; name the error",
    "BaseException": "catches what must not be caught; name the error",
    "RecursionError": "depends on the machine",
    "MemoryError": "depends on the machine",
}
_REFUSED_NAMES = frozenset(_WHY) | {
    *("open", "input", "print", "eval", "exec", "compile", "globals", "locals", "vars", "dir"),
    *("getattr", "setattr", "delattr", "breakpoint", "help", "exit", "quit", "iter", "callable"),
    *("classmethod", "staticmethod", "property"),
}
_GROWING = frozenset({"join", "replace", "extend", "translate", "to_bytes", "expandtabs"})
_REFUSED_ATTRIBUTES = _GROWING | {
    *("format", "format_map", "ljust", "rjust", "center", "zfill", "mro", "with_traceback"),
    *("gi_frame", "gi_code", "f_locals", "f_globals", "f_builtins", "f_back", "tb_frame"),
}
_LIBRARY_NAMES = {
    "dataclasses": frozenset({"dataclass", "field"}),
    "enum": frozenset({"Enum", "IntEnum", "StrEnum"}),
    "typing": frozenset({"Annotated", "ClassVar", "Final", "Literal", "NewType"}),
}
_DUNDER_METHODS = frozenset(
    {"__init__", "__post_init__", "__eq__", "__lt__", "__len__", "__contains__", "__getitem__"}
)
_REFUSED_NODES: dict[type[ast.AST], str] = {
    ast.Set: "sets have no order; use a list or a dict",
    ast.SetComp: "sets have no order; use a list or a dict",
    ast.Global: "state outlives a transaction only in fields",
    ast.Nonlocal: "state outlives a transaction only in fields",
    ast.AsyncFunctionDef: "nothing here waits",
    ast.AsyncFor: "nothing here waits",
    ast.AsyncWith: "nothing here waits",
    ast.Await: "nothing here waits",
    ast.Yield: "generators keep frames; return a list",
    ast.YieldFrom: "generators keep frames; return a list",
    ast.With: "there is nothing to close",
    ast.Div: "floats round differently; use //",
    ast.MatMult: "there are no matrices",
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is refused."""

    path: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.reason}"


class NotDeterministic(Rejected, module="python", code=1):
    """The program contains what could differ from node to node; each place is named."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def read_program(source: str, path: str, package: str) -> ast.Module:
    """
    Parse a source and verify that it is deterministic.

    Parameters
    ----------
    source, path : `str`
        The text, and how messages name it.
    package : `str`
        The program's own package: it may import from below.

    Raises
    ------
    NotDeterministic
        With every fault that was found, syntax errors among them.
    """
    try:
        tree = ast.parse(source, path)
    except (SyntaxError, ValueError, RecursionError) as error:
        line = getattr(error, "lineno", 0) or 0
        raise NotDeterministic((Fault(path, line, f"no Python: {error}"),)) from error
    found = tuple(
        sorted(
            (Fault(path, line, reason) for line, reason in _faults(tree, package)),
            key=lambda fault: (fault.line, fault.reason),
        )
    )
    if found:
        raise NotDeterministic(found)
    return tree


def _faults(tree: ast.Module, package: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        for reason in _faults_of(node, package):
            yield line, reason
        if isinstance(node, ast.BinOp | ast.AugAssign) and type(node.op) in _REFUSED_NODES:
            yield line, f"{_name(node.op)}: {_REFUSED_NODES[type(node.op)]}"
    for body in (tree.body, *(n.body for n in ast.walk(tree) if isinstance(n, ast.ClassDef))):
        for statement in body:
            yield from _faults_of_shared(statement)


def _faults_of(node: ast.AST, package: str) -> Iterator[str]:
    if type(node) in _REFUSED_NODES and not isinstance(node, ast.operator):
        yield f"{_name(node)}: {_REFUSED_NODES[type(node)]}"
    yield from _faults_of_annotation(node)
    match node:
        case ast.Import(names=names):
            yield from (f"import {n.name}: only `from … import …`" for n in names)
        case ast.ImportFrom():
            yield from _faults_of_import(node, package)
        case ast.Constant(value=float() | complex()):
            yield f"{node.value!r}: floats round differently; count in units"
        case ast.Name(id=name):
            if name in _REFUSED_NAMES or name.startswith("__"):
                yield f"{name}: {_WHY.get(name, 'reaches outside of the program')}"
        case ast.arg(arg=name) | ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
            yield from _faults_of_binding(name)
        case ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
            yield from _faults_of_binding(name)
        case ast.MatchMapping(rest=str(name)):
            yield from _faults_of_binding(name)
        case ast.ClassDef(name=name, keywords=keywords):
            yield from _faults_of_binding(name)
            if keywords:
                yield f"class {name}: takes no keywords"
        case ast.Attribute(attr=name):
            yield from _faults_of_attribute(node, name)
        case ast.FunctionDef(name=name, args=arguments):
            if name.startswith("__") and name not in _DUNDER_METHODS:
                yield f"{name}: Python calls it when it likes"
            if any(
                _is_mutable(default) for default in (*arguments.defaults, *arguments.kw_defaults)
            ):
                yield f"{name}: a default that can change is state outside of the tree"
        case ast.ExceptHandler(type=None):
            yield "except: name the error"
        case ast.Try(finalbody=[_, *_]):
            yield "finally: would run after the gas has"
        case ast.Subscript(slice=ast.Slice(), ctx=ast.Store() | ast.Del()):
            yield "a slice is assigned: build a new list"
        case ast.AugAssign(target=target) if any(
            isinstance(n, ast.Call | ast.BinOp) for n in ast.walk(target)
        ):
            yield "the target of an augmented assignment is computed: write it out"
        case ast.FormattedValue(format_spec=ast.JoinedStr() as spec) if spec.values:
            yield "format specifications may make values of any length"
        case ast.FormattedValue(conversion=conversion) if conversion != -1:
            yield "!r shows addresses in memory"
        case ast.Compare(ops=operators, comparators=others):
            for operator, other in zip(operators, others, strict=True):
                if isinstance(operator, ast.Is | ast.IsNot) and not _is_singleton(other):
                    yield "is: compares addresses in memory; use =="
        case _:
            pass


def _faults_of_annotation(node: ast.AST) -> Iterator[str]:
    """A text in an annotation is evaluated by whoever reads the annotation."""
    annotation = getattr(node, "annotation", None) or getattr(node, "returns", None)
    if not isinstance(annotation, ast.expr):
        return
    literal = {
        id(inner)
        for part in ast.walk(annotation)
        if isinstance(part, ast.Subscript) and ast.unparse(part.value) == "Literal"
        for inner in ast.walk(part)
    }
    for part in ast.walk(annotation):
        is_text = isinstance(part, ast.Constant) and isinstance(part.value, str)
        if is_text and id(part) not in literal:
            yield "a text in an annotation would be evaluated"


def _faults_of_binding(name: str) -> Iterator[str]:
    if name.startswith("__"):
        yield f"{name}: such names are the runtime's"


def _faults_of_import(node: ast.ImportFrom, package: str) -> Iterator[str]:
    source = node.module or ""
    if node.level or not (
        source in ALLOWED_IMPORTS or source == package or source.startswith(f"{package}.")
    ):
        yield f"import from {'.' * node.level}{source}: only {SDK} and the program's own modules"
    for name in node.names:
        if name.name == "*" or name.name.startswith("__"):
            yield f"import {name.name}: name what you use"
    allowed = _LIBRARY_NAMES.get(source)
    if allowed is not None and any(name.name not in allowed for name in node.names):
        yield f"of {source} only {', '.join(sorted(allowed))}"


def _faults_of_attribute(node: ast.Attribute, name: str) -> Iterator[str]:
    if name in _GROWING:
        yield f".{name}: may make values of any length; see {SDK}"
    elif name in _REFUSED_ATTRIBUTES or name.startswith("__"):
        yield f".{name}: reaches outside of the program"
    elif name.startswith("_") and not (
        isinstance(node.value, ast.Name) and node.value.id == "self"
    ):
        yield f".{name}: belongs to somebody else"
    if isinstance(node.ctx, ast.Store | ast.Del) and isinstance(node.value, ast.Name):
        base = node.value.id
        if base[:1].isupper():
            yield f"{base}.{name}: a class is no place for state"


def _faults_of_shared(statement: ast.stmt) -> Iterator[tuple[int, str]]:
    """What stands in a module or class outlives a transaction: it must not be able to change."""
    values: list[ast.expr | None] = []
    match statement:
        case ast.Assign(value=value):
            values = [value]
        case ast.AnnAssign(value=value):
            values = [value]
        case (
            ast.FunctionDef()
            | ast.ClassDef()
            | ast.ImportFrom()
            | ast.Pass()
            | ast.Expr(value=ast.Constant())
        ):
            pass
        case _:
            if not isinstance(statement, ast.Import):
                yield statement.lineno, f"{_name(statement)}: only definitions may stand here"
    for value in values:
        if value is not None and _is_mutable(value):
            yield statement.lineno, "what can change is state outside of the tree; use a tuple"


def _is_mutable(node: ast.expr | None) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in ("list", "dict")
    return isinstance(node, ast.List | ast.Dict | ast.ListComp | ast.DictComp | ast.GeneratorExp)


def _is_singleton(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))


def _name(node: ast.AST) -> str:
    return type(node).__name__
