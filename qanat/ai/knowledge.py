"""
Knowledge that earns: give documents, ask, take them back.

```python
from qanat.ai import knowledge

chain = knowledge.KnowledgeChain("http://127.0.0.1:8545", account, "0x…")  # of eth-account
with knowledge.app("http://127.0.0.1:8597", policy=knowledge.Policy(allow_mock=True)) as app:
    ana = knowledge.Contributor(app, chain)
    given = ana.add(Path("notes.txt").read_bytes())
answer = knowledge.ask("http://127.0.0.1:8597", "When is the harvest?", policy=…, api_key="sk-…")
answer.sources  # by commitment; their owners are paid
ana.remove(given.commitment)
ana.withdraw()
```
"""

import time

from apps.knowledge.answers import Source, SourcedAnswer, read_answer
from apps.knowledge.chain import KnowledgeChain
from apps.knowledge.client import App, Contributor, Given, prepare
from apps.knowledge.service import MODEL_ID
from qanat.ai import infer
from qanat.ai.infer import Policy

__all__ = [
    "App",
    "Contributor",
    "Given",
    "KnowledgeChain",
    "Policy",
    "Source",
    "SourcedAnswer",
    "app",
    "ask",
    "prepare",
]


def app(url: str, *, policy: Policy | None = None) -> App:
    """Reach the app and verify it; by default no mock is accepted. Raises as `App`."""
    return App(url, policy or Policy(), int(time.time()))


def ask(
    url: str,
    question: str,
    *,
    policy: Policy | None = None,
    api_key: str = "none",
    max_tokens: int | None = None,
) -> SourcedAnswer:
    """
    Ask the app, encrypted; the answer's receipt is verified.

    Parameters
    ----------
    url, question : `str`
        Of the app, without `/v1`; at most 2,000 characters.
    policy : `Policy`, optional
        What is accepted; by default no mock.
    api_key : `str`
        Whose prepaid credit the answer is paid from.
    max_tokens : `int`, optional
        Of the answer.

    Raises
    ------
    Rejected, ServiceAway, openai.APIError
        What the verifier refuses, by its name; what the app refuses.
    """
    with infer.client(url, policy=policy, api_key=api_key, max_retries=0) as client:
        said = client.chat.completions.create(
            model=MODEL_ID,
            messages=[{"role": "user", "content": question}],
            temperature=0,
            max_tokens=max_tokens or 128,
        )
        client.last_receipt.verify()
    return read_answer(said.choices[0].message.content or "")
