"""What the compute enclave refuses."""

from shared.errors import Rejected, Unavailable


class NotLevel(Unavailable, module="compute", code=2):
    """The enclave does not hold the state that consensus finalized last."""


class WrongRound(Rejected, module="compute", code=3):
    """The batch is for another round than the one after the newest finalized round."""


class NoGenesis(Rejected, module="compute", code=9):
    """The ParaTime is not registered, carries no genesis, or has no keys."""


class WrongInbox(Rejected, module="compute", code=12):
    """What the host gives as handed over by consensus is not what the newest round names."""


class UnknownRuntime(Rejected, module="compute", code=10):
    """The measured configuration names a runtime that is not there."""
