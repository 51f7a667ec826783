"""Why an app's enclave refuses."""

from shared.errors import Rejected, Unavailable


class OtherApp(Rejected, module="worker", code=1):
    """The enclave speaks for another app already."""


class NoKeys(Unavailable, module="worker", code=2):
    """The instance is not registered, or its registration has ended: it has no keys."""


class NotAsked(Rejected, module="worker", code=3):
    """The host brings an answer to what the enclave has not asked."""


class KeyManagerUnknown(Unavailable, module="worker", code=4):
    """No key manager that signs is proven, so nothing is encrypted to anybody."""


class NoResult(Unavailable, module="worker", code=5):
    """A transaction was sent, and what became of it is not known yet."""


class RecordUnproven(Rejected, module="worker", code=7):
    """The proof is not of this app's record under the proven state root, or there is no record."""


class KeyChanged(Rejected, module="worker", code=6):
    """The app's root key is another one than before; the instance must begin anew."""
