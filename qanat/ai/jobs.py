"""
A model from rows of others, as who wants it.

```python
from qanat.ai import jobs

job = jobs.open(
    market,
    workers,
    [commitment],
    val=Path("validation.csv").read_bytes(),
    label="label",
    recipe="dp-logreg/1",
    eps=1.0,
    pot_wei=10**18,
)
job.wait()
job.model().predicted(features), job.card["accuracy"]
```

`market` and `workers` are `qanat.ai.market`'s.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from apps.data_market.errors import NotReleased
from apps.data_market.job import Progress
from apps.data_market.train.model import LinearModel
from apps.data_market.train.recipe import DP_LOGREG
from qanat.ai.market import Market, ModelOwner, State, Worker

TIMEOUT_S = 600.0
HOUR_S = 3600

__all__ = ["OpenJob", "open"]


@dataclass(slots=True, eq=False)
class OpenJob:
    """A job with its pot in escrow."""

    id: bytes
    owner: ModelOwner = field(repr=False)
    """Whose key opens the model; `secret` and `key` are all that it needs again."""
    workers: Sequence[Worker] = field(repr=False)
    _released: tuple[LinearModel, bytes] | None = field(default=None, repr=False)

    def wait(self, timeout_s: float = TIMEOUT_S, progress: Progress = lambda _: None) -> State:
        """
        Wait until it ends: `SETTLED`, `DISPUTED` or `EXPIRED`.

        Raises
        ------
        BadJob
            Nothing has changed for `timeout_s`, or a worker does not report.
        """
        return self.owner.wait(self.id, self.workers, timeout_s, progress)

    def model(self) -> LinearModel:
        """Fetch the model of a settled job. Raises `NotReleased`, `BadModel`, `WorkerAway`."""
        return self._fetch()[0]

    @property
    def card(self) -> dict[str, Any]:
        """What is said of the model: accuracy, eps, what an attack finds. Raises as `model`."""
        found: dict[str, Any] = json.loads(self._fetch()[1])
        return found

    def _fetch(self) -> tuple[LinearModel, bytes]:
        if self._released is None:
            if not self.workers:
                raise NotReleased("no worker is named that could release it")
            self._released = self.owner.fetch(self.id, self.workers[0])
        return self._released


def open(  # noqa: A001 - as `jobs.open` it hides nothing
    market: Market,
    workers: Sequence[Worker],
    datasets: Sequence[bytes],
    *,
    val: bytes,
    label: str,
    pot_wei: int,
    recipe: str = DP_LOGREG.name,
    eps: float = 1.0,
    within_s: int = HOUR_S,
) -> OpenJob:
    """
    Open a job with its pot in escrow, and seal its order to each worker.

    Parameters
    ----------
    datasets : sequence of `bytes`
        Commitments, 32 bytes each.
    val : `bytes`
        The owner's own rows, CSV with a header; their columns are the schema.
    within_s : `int`
        The pot comes back where the job is not settled by then [s].

    Raises
    ------
    BadTable, BadJob, UnknownRecipe, ContractRefused, WorkerAway
        See each.
    """
    owner = ModelOwner(market, val, label)
    id_ = owner.open(datasets, workers, recipe=recipe, eps=eps, pot_wei=pot_wei, within_s=within_s)
    return OpenJob(id_, owner, workers)
