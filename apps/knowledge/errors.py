"""What the knowledge app refuses, and why."""

from shared.errors import Rejected, Unavailable


class BadDocument(Rejected, module="knowledge", code=1):
    """An upload is no document, or not the one that was committed to on the chain."""


class ShelfFull(Rejected, module="knowledge", code=2):
    """The app holds as many documents as it may."""


class BadQuestion(Rejected, module="knowledge", code=3):
    """A conversation has no question, or one that is too long."""


class ContractRefused(Rejected, module="knowledge", code=4):
    """A contract reverts."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the contract says {name}")
        self.name = name


class GatewayAway(Unavailable, module="knowledge", code=5):
    """The gateway does not answer, so that nobody knows which documents were removed."""


class AppAway(Unavailable, module="knowledge", code=6):
    """The app does not answer, or not as this app does."""


class NoSources(Rejected, module="knowledge", code=7):
    """An answer does not end with what it was made from, so it is not whole."""
