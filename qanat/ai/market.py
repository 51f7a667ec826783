"""
The data market's two sides: who has rows, and who wants a model.

```python
from qanat.ai.market import Attested, Contributor, Market, ModelOwner, Worker

market = Market("http://127.0.0.1:8545", account, "0x…")  # account of eth-account
workers = [Worker(url, market, Attested(allow_mock=True)) for url in urls]
ana = Contributor(market, Path("rows.csv").read_bytes(), "label")
ana.register(policy)
ana.upload(workers)
ana.accept(job)
ana.withdraw()
```
"""

from apps.data_market.chain.contracts import Job, Market, Policy, State
from apps.data_market.client import Contributor, ModelOwner, Worker
from apps.data_market.train.recipe import DP_LOGREG, recipe_of
from apps.inference.verify.policy import Policy as Attested

__all__ = [
    "DP_LOGREG",
    "Attested",
    "Contributor",
    "Job",
    "Market",
    "ModelOwner",
    "Policy",
    "State",
    "Worker",
    "recipe_of",
]
