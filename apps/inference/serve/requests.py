"""Requests as OpenAI has them, within what the models here can do; anything else is refused."""

from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from apps.inference.errors import BadCompletion, SessionNotAccepted

MAX_COMPLETION_TOKENS = 512
DEFAULT_COMPLETION_TOKENS = 128
MAX_MESSAGES = 256
MAX_INPUTS = 64
Request = TypeVar("Request", bound=BaseModel)
Text = Annotated[str, Field(max_length=65_536)]
Stop = Annotated[str, Field(min_length=1, max_length=64)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TextPart(_Strict):
    """A piece of a message; no model here sees or hears."""

    type: Literal["text"]
    text: Text


class Message(_Strict):
    """One turn of a conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[TextPart], Field(max_length=64)]
    name: Annotated[str, Field(max_length=64)] | None = None

    def shown(self) -> dict[str, str]:
        """Give what the model reads."""
        content = self.content
        text = content if isinstance(content, str) else "".join(part.text for part in content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(_Strict):
    """What a stream has beside its pieces."""

    include_usage: bool = False


class ResponseFormat(_Strict):
    """Plain text, or any JSON object."""

    type: Literal["text", "json_object"]


class Provider(BaseModel):
    """Constraints of `aci/1`; those of others are theirs."""

    model_config = ConfigDict(extra="allow")
    aci_verified: bool | None = None
    aci_session_ids: Annotated[list[str], Field(min_length=1, max_length=64)] | None = None


class _Common(_Strict):
    model: Annotated[str, Field(max_length=256)]
    user: Annotated[str, Field(max_length=256)] | None = None
    provider: Provider | None = None

    def verify_provider(self) -> None:
        """
        Verify what is asked of the service itself.

        Raises
        ------
        BadCompletion, SessionNotAccepted
            An unknown `aci_` constraint; a session, of which a direct service has none.
        """
        if self.provider is None:
            return
        for name in self.provider.model_extra or ():
            if name.startswith("aci_"):
                raise BadCompletion(f"no constraint {name}", f"provider.{name}")
        if self.provider.aci_session_ids is not None:
            if self.provider.aci_verified is False:
                raise BadCompletion("aci_session_ids implies aci_verified", "provider")
            raise SessionNotAccepted("this service computes itself, and has no sessions")


class _Sampled(_Common):
    max_tokens: Annotated[int, Field(ge=1, le=MAX_COMPLETION_TOKENS)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    n: Literal[1] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None

    def sampling(self) -> dict[str, Any]:
        """Give what the model takes of it."""
        names = ("temperature", "top_p", "presence_penalty", "frequency_penalty", "seed", "stop")
        found = {name: getattr(self, name) for name in names}
        asked = self.max_tokens or DEFAULT_COMPLETION_TOKENS
        return {name: one for name, one in found.items() if one is not None} | {"max_tokens": asked}


class ChatRequest(_Sampled):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_COMPLETION_TOKENS)] | None = None
    response_format: ResponseFormat | None = None

    def for_model(self) -> dict[str, Any]:
        """Give the request as the model takes it."""
        found = self.sampling() | {"messages": [one.shown() for one in self.messages]}
        if self.max_completion_tokens is not None:
            found["max_tokens"] = self.max_completion_tokens
        if self.response_format is not None:
            found["response_format"] = {"type": self.response_format.type}
        return found


class CompletionRequest(_Sampled):
    """`POST /v1/completions`."""

    prompt: Text

    def for_model(self) -> dict[str, Any]:
        """Give the request as the model takes it."""
        return self.sampling() | {"prompt": self.prompt}


class EmbeddingRequest(_Common):
    """`POST /v1/embeddings`."""

    input: Text | Annotated[list[Text], Field(min_length=1, max_length=MAX_INPUTS)]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Literal[384] | None = None

    @property
    def texts(self) -> list[str]:
        """What is to be embedded."""
        return [self.input] if isinstance(self.input, str) else self.input


def read_request(kind: type[Request], untrusted: bytes) -> Request:
    """Read a body, or raise `BadCompletion`, which never repeats what it said."""
    try:
        return kind.model_validate_json(untrusted)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadCompletion(f"{place or 'body'}: {first['msg']}", place or None) from None
