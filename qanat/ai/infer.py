"""
OpenAI's client, in which the service is verified and every answer can be.

```python
from qanat.ai import infer

client = infer.client("http://127.0.0.1:8595", policy=infer.Policy(allow_mock=True), api_key="sk-…")
answer = client.chat.completions.create(model="smollm2-135m-instruct", messages=[…])
client.last_receipt.verify()
client.last_receipt.save(Path("exchange.json"))  # for `qanat verify receipt`
```
"""

from typing import Any

import httpx2
import openai

from apps.inference.client.session import Receipt
from apps.inference.client.transport import VerifyingTransport
from apps.inference.verify.policy import Policy

__all__ = ["Client", "Policy", "Receipt", "VerifyingTransport", "client"]


class Client(openai.OpenAI):
    """OpenAI's client, with the receipt of the last answer."""

    _transport: VerifyingTransport

    @property
    def last_receipt(self) -> Receipt:
        """Fetch it; a stream must have been read to its end. Raises `NoReceipt`."""
        return self._transport.last_receipt()


def client(
    url: str,
    *,
    policy: Policy | None = None,
    api_key: str = "none",
    encrypt: bool = True,
    **options: Any,
) -> Client:
    """
    Make a client of a service.

    Parameters
    ----------
    url : `str`
        Of the service, without `/v1`.
    policy : `Policy`, optional
        What is accepted; by default no mock, so nothing that this project runs.
    api_key : `str`
        Shown to the service, which shows receipts to the same key alone.
    encrypt : `bool`
        Whether prompts and answers are readable in the enclave alone.
    options
        Of `openai.OpenAI`, such as `timeout` and `max_retries`.

    Raises
    ------
    Rejected, ServiceAway
        The service is not one that the policy accepts, by the verifier's name for it.
    """
    transport = VerifyingTransport(policy or Policy(), encrypt=encrypt)
    try:
        transport.established(httpx2.URL(url))
    except BaseException:
        transport.close()
        raise
    made = Client(
        base_url=f"{url.rstrip('/')}/v1",
        api_key=api_key,
        http_client=httpx2.Client(transport=transport),
        **options,
    )
    made._transport = transport  # noqa: SLF001
    return made
