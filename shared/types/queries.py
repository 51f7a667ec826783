"""Questions to a runtime that travel together, and their answers."""

from collections.abc import Awaitable
from dataclasses import dataclass

from shared.errors import QanatError, Unavailable, error_from

MAX_QUERIES = 16
"""Questions of one message."""
MAX_TOGETHER_BYTES = 16 * 1024
"""Arguments of one that travels with others; a larger one goes alone [bytes]."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question; see `ComputeApi.query`."""

    method: str
    args: bytes


@dataclass(frozen=True, slots=True)
class QueryAnswer:
    """What was answered, or the error that it failed with."""

    output: bytes = b""
    module: str = ""
    """Module of the error; empty where there is none."""
    code: int = 0
    message: str = ""
    data: bytes | None = None
    may_retry: bool = False
    """Whether the error is an `Unavailable`."""

    @classmethod
    def failed(cls, error: QanatError) -> "QueryAnswer":
        """Wrap an error."""
        may_retry = isinstance(error, Unavailable)
        return cls(b"", error.module, error.code, error.message, error.data, may_retry)

    @classmethod
    async def of(cls, asked: Awaitable[bytes]) -> "QueryAnswer":
        """Wait for an answer or its error."""
        try:
            return cls(await asked)
        except QanatError as error:
            return cls.failed(error)

    @property
    def error(self) -> QanatError | None:
        """The error as it was raised; None where there is an output."""
        if not self.module:
            return None
        return error_from(self.module, self.code, self.message, self.data, may_retry=self.may_retry)
