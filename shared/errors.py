"""
The tree of errors.

`QanatError` has two branches: `Rejected` is the caller's fault and deterministic, `Unavailable` may
go away on a retry. Anything else is a bug and crashes. A pair (module, code) names one class for
ever, so that an error which crosses a process boundary is raised as the same class on the other
side.
"""

from typing import ClassVar, Self


class QanatError(Exception):
    """Root of every error that is part of the product's contract."""

    module: str = ""
    code: int = 0
    by_code: ClassVar[dict[tuple[str, int], type["QanatError"]]] = {}

    def __init_subclass__(cls, *, module: str = "", code: int = 0) -> None:
        """Register the class under its (module, code); branches of the tree carry none."""
        super().__init_subclass__()
        if not module:
            return
        taken = QanatError.by_code.setdefault((module, code), cls)
        if taken is not cls and taken.__qualname__ != cls.__qualname__:
            raise TypeError(f"error {module}:{code} is taken by {taken.__qualname__}")
        cls.module, cls.code = module, code

    @property
    def message(self) -> str:
        """Text for a person: who failed and what to do."""
        return str(self.args[0]) if self.args else type(self).__name__

    @property
    def data(self) -> bytes | None:
        """Machine-readable detail that travels with the error, such as raw revert bytes."""
        return None

    @classmethod
    def rebuilt(cls, message: str) -> Self:
        """Make an error that arrived from another process, without its constructor's arguments."""
        error = cls.__new__(cls)
        Exception.__init__(error, message)
        return error


class Rejected(QanatError):
    """The caller's fault; the same request fails in the same way again."""


class Unavailable(QanatError):
    """Something needed is not there now; a retry may help."""


class BadRequest(Rejected, module="request", code=1):
    """The request is not of the form that the receiver documents."""


class MethodNotFound(Rejected, module="request", code=2):
    """The receiver has no such method."""


class PeerUnavailable(Unavailable, module="peer", code=1):
    """The other process does not answer."""


class PeerFailed(Unavailable, module="peer", code=2):
    """The other process met a bug of its own while it served the request."""


class PeerBusy(Unavailable, module="peer", code=4):
    """Too much of this connection is under way at the other side; ask again, or another node."""


class RuntimeRejected(Rejected):
    """
    A failure inside a ParaTime, with the module and code of that runtime.

    Its codes are the runtime's (`core` 4 is an invalid nonce, `evm` 8 a revert), so the class
    holds any of them. Source: spec of the Oasis runtime SDK, module error codes.
    """

    def __init__(self, module: str, code: int, message: str, data: bytes | None = None) -> None:
        super().__init__(message)
        self.module, self.code, self._data = module, code, data

    @property
    def data(self) -> bytes | None:
        """Raw revert bytes where the failure is a revert."""
        return self._data


class RemoteUnavailable(Unavailable):
    """Something that another process needs is not there now; its class is not known here."""

    def __init__(self, module: str, code: int, message: str) -> None:
        super().__init__(message)
        self.module, self.code = module, code


def error_from(
    module: str, code: int, message: str, data: bytes | None = None, *, may_retry: bool = False
) -> QanatError:
    """
    Rebuild an error that crossed a process boundary.

    Of a class that is not known here the branch is kept: `may_retry` says that it was an
    `Unavailable`; otherwise it is a runtime's rejection.
    """
    known = QanatError.by_code.get((module, code))
    if known is not None:
        return known.rebuilt(message)
    if may_retry:
        return RemoteUnavailable(module, code, message)
    return RuntimeRejected(module, code, message, data)
