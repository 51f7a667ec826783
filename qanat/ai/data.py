"""
Rows that nobody sees, as who has them: commit, say what is allowed, hand over, take part.

```python
from qanat.ai import data, pay

given = data.commit(market, Path("rows.csv").read_bytes(), "label")
data.policy(given, eps_cap=4.0)
data.upload(given, workers)
data.accept(given, job)
pay.withdraw(market)
```

`market` and `workers` are `qanat.ai.market`'s. Keep `given.secret`: without it the rows cannot be
handed over again.
"""

from collections.abc import Sequence

from apps.data_market.chain.contracts import Policy
from apps.data_market.chain.uploads import PRECISION_UNITS, Params
from apps.data_market.train.recipe import DP_LOGREG, recipe_of
from qanat.ai.market import Contributor, Market, Worker

DAY_S = 86_400
NO_PURPOSES = bytes(32)

__all__ = ["accept", "commit", "left", "policy", "upload"]


def commit(market: Market, rows: bytes, label: str) -> Contributor:
    """
    Commit to rows of a CSV file with a header; nothing is on the chain yet.

    Raises
    ------
    BadTable, TooLarge, PersonalData
        They are nothing that the market takes.
    """
    given = Contributor(market, rows, label)
    given.commit()
    return given


def policy(
    given: Contributor,
    *,
    eps_cap: float = 4.0,
    delta: float = 1e-5,
    min_pot_wei: int = 1,
    days: int = 30,
    recipe: str = DP_LOGREG.name,
    purposes: bytes = NO_PURPOSES,
) -> None:
    """
    Register the commitment on the chain, with what its owner allows.

    Parameters
    ----------
    eps_cap, delta : `float`
        Budget of all jobs together.
    min_pot_wei : `int`
        Least pot of a job.
    days : `int`
        No job starts after so many.
    recipe : `str`
        The only one that is allowed.
    purposes : `bytes`
        Hash of a text about what for, 32 bytes.

    Raises
    ------
    ContractRefused, GatewayAway, BadJob, UnknownRecipe
        See each.
    """
    cap = Params(recipe, eps_cap, delta, given.label).precision
    expiry = given.market.now() + days * DAY_S
    given.register(Policy(cap, min_pot_wei, expiry, purposes, (recipe_of(recipe).hash,)))


def upload(given: Contributor, workers: Sequence[Worker]) -> None:
    """Seal the rows to each worker and hand them over. Raises `WorkerAway`."""
    given.upload(workers)


def accept(given: Contributor, job: bytes) -> None:
    """Take part in a job, which reserves its budget. Raises `BadJob`, `ContractRefused`."""
    given.accept(job)


def left(market: Market, commitment: bytes) -> float:
    """Give what is left of a budget: sum of 1/sigma^2 that further jobs may spend."""
    return market.budget_left(commitment) / PRECISION_UNITS
