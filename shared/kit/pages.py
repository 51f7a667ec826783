"""
The read API of a node, for people: FastAPI, with OpenAPI at `/openapi.json` and a page at `/docs`.

What is answered is records, so their pydantic models are derived from the dataclasses: a field is
written down once. The contract's methods stand in the same document; `NodeApp` answers them before
they come here. The page at `/docs` needs nothing from elsewhere. Import this lazily: FastAPI takes
15 MiB and half a second.
"""

import dataclasses
import enum
import inspect
import types
import typing
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any, Union, cast, get_args, get_origin

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field, create_model

from shared.encoding.contract import Method, methods_of
from shared.encoding.notes import Wide
from shared.encoding.values import to_wire
from shared.errors import QanatError, Rejected
from shared.kit.node_app import App, describe, status_of
from shared.kit.wire_json import to_json

PAGE = Path(__file__).with_name("docs_page.html")
HexText = Annotated[str, Field(pattern="^0x[0-9a-f]*$", examples=["0x00ff"])]
Hex = Annotated[str, Field(pattern="^(0x)?[0-9a-fA-F]*$")]
"""Bytes in a path, with or without `0x`."""


class NotFound(Rejected, module="http", code=5):
    """There is no such thing here."""


def from_hex(text: str) -> bytes:
    """Read bytes of a path, or raise `NotFound`."""
    try:
        return bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        raise NotFound(f"{text!r} is no hex") from None


def found(value: Any, what: str) -> Any:
    """Give what was found, or raise `NotFound`."""
    if value is None:
        raise NotFound(f"there is no {what}")
    return value


def shown(kind: Any, value: Any) -> Any:
    """Give a value as JSON shows it."""
    return to_json(to_wire(kind, value))


_MODELS: dict[type, type[BaseModel]] = {}


def model_of(kind: Any) -> Any:
    """Give the pydantic type of what `shown` gives for a type."""
    if isinstance(kind, typing.NewType):
        return model_of(kind.__supertype__)
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        is_wide = any(isinstance(note, Wide) for note in kind.__metadata__)
        return HexText if is_wide else model_of(args[0])
    if origin in (Union, types.UnionType):
        (inner,) = (one for one in args if one is not type(None))
        return model_of(inner) | None
    if origin is tuple:
        is_list = len(args) == 2 and args[1] is Ellipsis
        return list[model_of(args[0])] if is_list else tuple[tuple(map(model_of, args))]  # type: ignore[misc]
    if origin is dict:
        return dict[str, model_of(args[1])]  # type: ignore[misc]
    if kind is bytes:
        return HexText
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return type(next(iter(kind)).value)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _MODELS.get(kind) or _record_model(kind)
    return Any if kind is object else kind


def _record_model(kind: type) -> type[BaseModel]:
    hints = typing.get_type_hints(kind, include_extras=True)
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        model = model_of(hints[field.name])
        is_optional = type(None) in get_args(hints[field.name])
        fields[field.name] = (model, None if is_optional else ...)
    made: type[BaseModel] = create_model(
        kind.__name__,
        __config__=ConfigDict(extra="forbid"),
        __doc__=inspect.getdoc(kind),
        **fields,
    )
    _MODELS[kind] = made
    return made


class Pages:
    """A read API under construction."""

    def __init__(self, title: str, service: str, contracts: Iterable[type]) -> None:
        """Begin with the methods of the contracts."""
        self.app = FastAPI(
            title=title,
            description="TEE: MOCK. What can be read of this node, and what can be asked of it.",
            docs_url=None,
            redoc_url=None,
        )
        self.app.add_exception_handler(QanatError, _answer_error)
        self.app.add_api_route("/docs", _docs, include_in_schema=False)
        for contract in contracts:
            for method in methods_of(contract).values():
                self._describe(service, method)

    def add(self, path: str, kind: Any, read: Callable[..., Any]) -> None:
        """Add a page: a path, the type of what is read, and the function that reads it."""
        signature = inspect.signature(read)

        async def answer(**arguments: Any) -> JSONResponse:
            value = read(**arguments)
            if inspect.isawaitable(value):
                value = await value
            return JSONResponse(shown(kind, value))

        answer.__signature__ = signature  # type: ignore[attr-defined]
        answer.__name__ = read.__name__.strip("_")
        self.app.add_api_route(
            path,
            answer,
            response_model=model_of(kind),
            summary=(inspect.getdoc(read) or "").partition("\n")[0],
            tags=["read"],
        )

    def build(self) -> App:
        """Give the application."""
        return cast("App", self.app)

    def _describe(self, service: str, method: Method) -> None:
        fields: dict[str, Any] = {}
        for name, kind in method.types.items():
            fields[name] = (model_of(kind), ... if name in method.required else None)
        body = create_model(method.name, __config__=ConfigDict(extra="forbid"), **fields)

        async def answered_before(body: Any = None) -> None:  # noqa: ARG001
            raise NotFound(f"{method.name} is asked by POST")

        answered_before.__annotations__["body"] = body | None
        answered_before.__name__ = method.name
        self.app.add_api_route(
            f"/v1/{service}/{method.name}",
            answered_before,
            methods=["POST"],
            response_model=model_of(method.returns),
            summary=method.summary,
            description="Answered line by line." if method.is_stream else "",
            tags=[method.access.value],
        )


async def _answer_error(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, QanatError)  # noqa: S101 - registered for this class only
    status = 404 if isinstance(error, NotFound) else status_of(error)
    return JSONResponse(describe(error), status)


async def _docs() -> HTMLResponse:
    return HTMLResponse(PAGE.read_text())
