"""What the parts that enclave programs share refuse."""

from shared.errors import Rejected, Unavailable


class NotInitialized(Unavailable, module="compute", code=1):
    """The enclave has not been shown the chain yet."""


class IncompleteProof(Rejected, module="compute", code=4):
    """The proven state lacks a key that the enclave needs."""


class BrokenHeaderChain(Rejected, module="compute", code=5):
    """A header is not the one that the next header, or consensus, names."""


class WrongOutputs(Rejected, module="compute", code=6):
    """The transactions and results of a round are not those under its I/O root."""


class RoundNotProven(Unavailable, module="compute", code=11):
    """The round is here, but no proof has been shown yet that consensus finalized it."""


class RoundUnknown(Rejected, module="compute", code=7):
    """The round is ahead of this node, or gone."""


class RoundPruned(Rejected, module="compute", code=13):
    """The round is older than the states that the network keeps."""


class StateRejected(Rejected, module="compute", code=8):
    """The state cannot be read or changed as asked: a wrong diff, or a broken disk."""


class ConsensusUnproven(Unavailable, module="compute", code=27):
    """The host does not prove what consensus held when the round before became final; ask later."""
