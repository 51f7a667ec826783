"""What every app may meet: its daemon, its sealed files, what is sealed to it."""

from shared.errors import Rejected, Unavailable


class AppdAway(Unavailable, module="apps", code=1):
    """The app daemon does not answer, or not as daemons do: there are no keys and no quotes."""


class BadSeal(Rejected, module="apps", code=2):
    """A sealed file was changed, or another app sealed it."""


class BadBox(Rejected, module="apps", code=3):
    """Bytes are not sealed to this key, or what is sealed is something else."""
