"""
Which fields are encrypted, and what binds each to its place.

One walk serves both directions: `transform` is what opens or seals a field. Source: e2ee-v2.md 5
and 6.
"""

import json
from collections.abc import Callable
from typing import Any

from apps.inference.documents.canonical import canonical
from apps.inference.errors import E2eeDecryptionFailed, E2eeUnsupportedEndpoint

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
Transform = Callable[[str, str], str]
"""Takes a field's path and its text, gives the text in its place."""


def request_aad(algo: str, model: str, field: str, nonce: str, ts: int) -> bytes:
    """What binds a field of a request."""
    return canonical(
        {
            "purpose": "aci.e2ee.request.v2",
            "algo": algo,
            "model": model,
            "field": field,
            "nonce": nonce,
            "ts": ts,
        }
    )


def response_aad(algo: str, model: str, field: str, nonce: str, ts: int, response_id: str) -> bytes:
    """What binds a field of an answer."""
    return canonical(
        {
            "purpose": "aci.e2ee.response.v2",
            "algo": algo,
            "model": model,
            "id": response_id,
            "field": field,
            "nonce": nonce,
            "ts": ts,
        }
    )


def compact(document: Any) -> bytes:
    """Give the bytes whose hash a receipt has of an opened request."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def open_request(endpoint: str, document: dict[str, Any], transform: Transform) -> int:
    """
    Replace each encrypted field of a request in place; gives how many there were.

    Each text in a listed place must be a ciphertext: a request is not half in plain.
    """
    if endpoint == CHAT:
        return sum(
            _open_content(message, f"messages.{at}.content", transform)
            for at, message in enumerate(_list_of(document, "messages"))
            if isinstance(message, dict)
        )
    if endpoint in (COMPLETIONS, EMBEDDINGS):
        name = "prompt" if endpoint == COMPLETIONS else "input"
        return _replace(document, name, name, transform)
    raise E2eeUnsupportedEndpoint(f"{endpoint} has no encrypted form")


def seal_request(endpoint: str, document: dict[str, Any], transform: Transform) -> None:
    """Encrypt each content of a request in place, structured content as a whole."""
    if endpoint == CHAT:
        for at, message in enumerate(_list_of(document, "messages")):
            content = message.get("content")
            if content is not None:
                text = content if isinstance(content, str) else compact(content).decode()
                message["content"] = transform(f"messages.{at}.content", text)
        return
    open_request(endpoint, document, transform)


def transform_answer(endpoint: str, document: dict[str, Any], transform: Transform) -> None:
    """Replace each generated field of an answer, or of a piece of one, in place."""
    if endpoint == EMBEDDINGS:
        for at, one in enumerate(_list_of(document, "data")):
            value = one["embedding"]
            text = value if isinstance(value, str) else compact(value).decode()
            one["embedding"] = transform(f"data.{one.get('index', at)}.embedding", text)
        return
    for at, choice in enumerate(_list_of(document, "choices")):
        index = choice.get("index", at)
        _replace(choice, "text", f"choices.{index}.text", transform)
        for holder in ("message", "delta"):
            inner = choice.get(holder)
            for name in ("content", "reasoning", "reasoning_content") if inner else ():
                _replace(inner, name, f"choices.{index}.{holder}.{name}", transform)


def restore_content(text: str) -> Any:
    """Give structured content where the text is a JSON list of it."""
    if text.startswith("["):
        try:
            found = json.loads(text)
        except (ValueError, RecursionError):
            return text
        return found if isinstance(found, list) else text
    return text


def _open_content(message: dict[str, Any], path: str, transform: Transform) -> int:
    content = message.get("content")
    if isinstance(content, str):
        message["content"] = restore_content(transform(path, content))
        return 1
    if not isinstance(content, list):
        return 0
    return sum(
        _replace(part, "text", f"{path}.{at}.text", transform)
        for at, part in enumerate(content)
        if isinstance(part, dict)
    )


def _replace(holder: dict[str, Any], name: str, path: str, transform: Transform) -> int:
    value = holder.get(name)
    if isinstance(value, str):
        holder[name] = transform(path, value)
        return 1
    if not isinstance(value, list):
        return 0
    count = 0
    for at, one in enumerate(value):
        if isinstance(one, str):
            value[at] = transform(f"{path}.{at}", one)
            count += 1
    return count


def _list_of(document: dict[str, Any], name: str) -> list[Any]:
    found = document.get(name)
    if not isinstance(found, list):
        raise E2eeDecryptionFailed(f"{name} is not a list")
    return found
