"""Answers in OpenAI's shape."""

import base64
import struct
from typing import Any

from apps.inference.models.answered import Answered

Answer = dict[str, Any]
CHAT_KIND, TEXT_KIND = "chat.completion", "text_completion"


class Answering:
    """Shapes of one answer, of a conversation or of a text."""

    def __init__(self, answer_id: str, model: str, created: int, *, is_chat: bool) -> None:
        self.answer_id, self._model, self._created = answer_id, model, created
        self._is_chat = is_chat

    def whole(self, text: str, how: Answered) -> Answer:
        """Give a buffered answer."""
        content: Answer = (
            {"message": {"role": "assistant", "content": text, "refusal": None}}
            if self._is_chat
            else {"text": text}
        )
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": how.finish_reason}
        return self._envelope([choice], is_piece=False) | {"usage": usage_of(how)}

    def first(self) -> Answer:
        """Give what begins a stream of a conversation."""
        return self._piece({"delta": {"role": "assistant", "content": ""}}, None)

    def piece(self, text: str) -> Answer:
        """Give a piece of a stream."""
        return self._piece({"delta": {"content": text}} if self._is_chat else {"text": text}, None)

    def last(self, how: Answered) -> Answer:
        """Give what ends a stream."""
        return self._piece({"delta": {}} if self._is_chat else {"text": ""}, how.finish_reason)

    def usage(self, how: Answered) -> Answer:
        """Give what follows the end, where it was asked for."""
        return self._envelope([], is_piece=True) | {"usage": usage_of(how)}

    def _piece(self, content: Answer, reason: str | None) -> Answer:
        choice = {"index": 0, **content, "logprobs": None, "finish_reason": reason}
        return self._envelope([choice], is_piece=True)

    def _envelope(self, choices: list[Answer], *, is_piece: bool) -> Answer:
        kind = f"{CHAT_KIND}.chunk" if self._is_chat and is_piece else CHAT_KIND
        return {
            "id": self.answer_id,
            "object": kind if self._is_chat else TEXT_KIND,
            "created": self._created,
            "model": self._model,
            "choices": choices,
        }


def usage_of(how: Answered) -> dict[str, int]:
    """Give the tokens of an answer."""
    return {
        "prompt_tokens": how.prompt_tokens,
        "completion_tokens": how.completion_tokens,
        "total_tokens": how.prompt_tokens + how.completion_tokens,
    }


def embedding_answer(
    vectors: list[list[float]], tokens: int, model: str, *, as_base64: bool
) -> Answer:
    """Give the answer to a request for embeddings; base64 is of little-endian floats."""
    data = [
        {
            "object": "embedding",
            "index": at,
            "embedding": base64.b64encode(struct.pack(f"<{len(one)}f", *one)).decode()
            if as_base64
            else one,
        }
        for at, one in enumerate(vectors)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": model, "usage": usage}
