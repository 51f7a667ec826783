"""Why an app is refused."""

from shared.errors import Rejected, Unavailable


class InvalidArgument(Rejected, module="appd", code=1):
    """A field is not what the route takes."""


class MethodNotAllowed(Rejected, module="appd", code=2):
    """Apps may not send this method; keys, for one, come from the daemon alone."""


class UnsupportedAlgorithm(Rejected, module="appd", code=4):
    """There are keys of secp256k1 and Ed25519 only."""


class TooManyEvents(Rejected, module="appd", code=5):
    """The event log of this instance is full."""


class NoNetwork(Unavailable, module="appd", code=6):
    """The daemon runs alone: there is no chain to ask or to send to."""


class MetadataOverLimit(Rejected, module="appd", code=7):
    """More pairs, or longer ones, than a registration may carry."""


class NotReached(Rejected, module="appd", code=8):
    """The request came by a name that is not this daemon's."""
