"""Makes the service: keys of the daemon, models, routes."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette

from apps.appd import Appd
from apps.inference.e2ee.gate import VERSION, Gate
from apps.inference.metering.meter import Meter
from apps.inference.models.pace import BUSY_SHARE
from apps.inference.serve.app import ApiKeys, build_app
from apps.inference.serve.engine import Engine, Models
from apps.inference.serve.exchanges import KEEP_ALIVE_S, Exchanges
from apps.inference.serve.identity import make_identity
from apps.inference.serve.legacy import make_legacy
from shared.crypto.entropy import Entropy, SystemEntropy


def load_models(busy_share: float = BUSY_SHARE) -> Models:
    """
    Load the models from installed packages; takes a second.

    Parameters
    ----------
    busy_share : `float`
        Of a core, for the language model while others want it.

    Raises
    ------
    WeightsMissing, WeightsChanged
        See each class.
    """
    # Only now: the base install has none of these.
    from apps.inference.models import chat, embedding
    from apps.inference.models.weights import MINILM, SMOLLM2

    return Models(
        chat_id=chat.MODEL_ID,
        chat=chat.LanguageModel(SystemEntropy(), busy_share),
        embedding_id=embedding.MODEL_ID,
        embeddings=embedding.Embedder(),
        digests={chat.MODEL_ID: SMOLLM2.digest, embedding.MODEL_ID: MINILM.digest},
    )


@asynccontextmanager
async def serving(
    appd_socket: Path,
    key_hashes: frozenset[bytes],
    *,
    load: Callable[[], Models] = load_models,
    engine: Engine | None = None,
    entropy: Entropy | None = None,
    meter: Meter | None = None,
    extend: Callable[[Models, Engine], Models] = lambda models, _: models,
    now_s: Callable[[], int] = lambda: int(time.time()),
    keep_alive_s: float = KEEP_ALIVE_S,
) -> AsyncIterator[Starlette]:
    """
    Give the application while it is used.

    Parameters
    ----------
    appd_socket : `Path`
        Of the app's daemon.
    key_hashes : `frozenset` [`bytes`]
        SHA-256 of the API keys that may ask; empty lets everybody.
    meter : `Meter`, optional
        Takes credit for answers; without it they are free.
    engine : `Engine`, optional
        What computes; it is closed at the end.
    load : callable
        Loads the models, in the thread that computes, so that theirs have its priority.
    extend : callable
        Adds a model that answers from sources.
    keep_alive_s : `float`
        A stream says this much, at least, in so long [s].

    Raises
    ------
    AppdAway, WeightsMissing, WeightsChanged
        See each class.
    """
    appd, engine = Appd(appd_socket), engine or Engine()
    try:
        models = extend(await engine.run(load), engine)
        gate = Gate(now_s)
        identity = await make_identity(
            appd,
            models.digests,
            now_s,
            e2ee=gate.public_keys,
            e2ee_versions=(VERSION,),
            sourced=None if models.sourced is None else models.sourced.capabilities(),
        )
        chance = entropy or SystemEntropy()
        exchanges = Exchanges(identity, gate, engine, models, chance, now_s, meter, keep_alive_s)
        legacy = await make_legacy(appd)
        yield build_app(exchanges, identity, models, legacy, ApiKeys(key_hashes))
    finally:
        engine.close()
        await appd.close()
