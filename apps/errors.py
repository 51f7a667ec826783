"""What every app may meet: its daemon, its sealed files, what is sealed to it."""

from shared.errors import Rejected, Unavailable


class AppdAway(Unavailable, module="apps", code=1):
    """The app daemon does not answer, or not as daemons do: there are no keys and no quotes."""


class BadSeal(Rejected, module="apps", code=2):
    """A sealed file was changed, or another app sealed it."""


class BadBox(Rejected, module="apps", code=3):
    """Bytes are not sealed to this key, or what is sealed is something else."""


class CallRefused(Rejected, module="apps", code=4):
    """The chain refuses a call that an instance sent."""

    def __init__(self, message: str, data: bytes = b"") -> None:
        super().__init__(message)
        self._data = data

    @property
    def data(self) -> bytes:
        """What a contract reverted with; empty where it did not."""
        return self._data
