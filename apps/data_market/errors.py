"""What the market refuses, and why."""

from shared.errors import Rejected, Unavailable


class BadTable(Rejected, module="data_market", code=1):
    """A table is not of the form that the schema asks for."""


class TooLarge(Rejected, module="data_market", code=2):
    """A table has more bytes, rows, columns or classes than the market takes."""


class BadJob(Rejected, module="data_market", code=3):
    """A job's parameters are impossible."""


class UnknownRecipe(Rejected, module="data_market", code=4):
    """No recipe has this name."""


class NothingOfValue(Rejected, module="data_market", code=5):
    """No contributor's rows help, so that there is nobody to pay; the pot stays with its owner."""


class BudgetSpent(Rejected, module="data_market", code=6):
    """A dataset's privacy budget does not hold another job of this size."""


class BadLedger(Rejected, module="data_market", code=7):
    """These bytes are no privacy ledger."""


class BadModel(Rejected, module="data_market", code=8):
    """These bytes are no model."""


class ReleaseRefused(Rejected, module="data_market", code=9):
    """An attack on the trained model finds its rows better than their owners allow."""


class ContractRefused(Rejected, module="data_market", code=10):
    """A contract of the market reverts."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the contract says {name}")
        self.name = name


class BadUpload(Rejected, module="data_market", code=11):
    """An upload is not sealed to this worker, or is not what was committed to on the chain."""


class NotReleased(Rejected, module="data_market", code=12):
    """A job's model is not there for its owner, or not yet."""


class GatewayAway(Unavailable, module="data_market", code=13):
    """The gateway does not answer, or not as gateways do."""


class WorkerAway(Unavailable, module="data_market", code=15):
    """A worker does not answer, or not as workers do."""


class PersonalData(Rejected, module="data_market", code=16):
    """A table holds numbers or labels by which a person is known."""


class BadCard(Rejected, module="data_market", code=17):
    """A model's card does not hold: it is another one, of another model, or promises too much."""
