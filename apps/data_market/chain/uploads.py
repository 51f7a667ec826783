"""
What contributors and model owners hand to a worker, sealed to the key of its app.

Each is a record in a sealed box of libsodium (X25519, XSalsa20, Poly1305) and names the market that
it is for: handed to another one, it is refused.
"""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import orjson
from nacl.public import PrivateKey

from apps.boxes import open_box
from apps.data_market.errors import BadUpload
from apps.data_market.intake.table import MAX_CELL, MAX_TABLE_BYTES
from apps.data_market.job import Order
from apps.data_market.privacy.gaussian import Budget
from apps.data_market.train.recipe import recipe_of
from apps.errors import BadBox
from shared.crypto.hashes import tuple_hash256
from shared.encoding.notes import AtMost
from shared.encoding.record import Bytes20, Bytes32

PARAMS_CONTEXT = b"qanat/data-market: parameters of a job"
CARD_CONTEXT = b"qanat/data-market: card"
MAX_UPLOAD_BYTES = MAX_TABLE_BYTES + (64 << 10)
"""A table and what comes with it."""
PRECISION_UNITS = 10**12
"""Of one unit of 1/sigma^2, as contracts count it."""

U = TypeVar("U")
Csv = Annotated[bytes, AtMost(MAX_TABLE_BYTES)]
Label = Annotated[str, AtMost(4 * MAX_CELL)]


@dataclass(frozen=True, slots=True)
class Place:
    """Which market an upload is for."""

    chain_id: int
    market: Bytes20


@dataclass(frozen=True, slots=True)
class DatasetUpload:
    """A contributor's rows, with what opens his commitment."""

    place: Place
    commitment: Bytes32
    secret: Bytes32
    """Salts of the rows follow from it."""
    label: Label
    csv: Csv


@dataclass(frozen=True, slots=True)
class OrderUpload:
    """What a model owner asks for, with what opens the hashes of his job's terms."""

    place: Place
    job: Bytes32
    """Its id on the chain."""
    params: Annotated[bytes, AtMost(4096)]
    """`Params` as JSON; the terms have their hash."""
    secret: Bytes32
    """Salts of the validation rows follow from it."""
    csv: Csv
    reply_key: Bytes32
    """X25519: the model comes back sealed to it."""


@dataclass(frozen=True, slots=True)
class Release:
    """What the owner of a settled job gets."""

    job: Bytes32
    model: Annotated[bytes, AtMost(16 << 20)]
    """As `LinearModel.encode` writes it."""
    card: Annotated[bytes, AtMost(64 << 10)]
    """JSON."""

    @property
    def card_hash(self) -> bytes:
        """As the chain has it."""
        return tuple_hash256(CARD_CONTEXT, self.card)


@dataclass(frozen=True, slots=True)
class Params:
    """How a model is made."""

    recipe: str
    eps: float
    delta: float
    label: str

    def encode(self) -> bytes:
        """Write as JSON with sorted keys."""
        return orjson.dumps(self, option=orjson.OPT_SORT_KEYS)

    @property
    def hash(self) -> bytes:
        """As the job's terms have it, 32 bytes."""
        return tuple_hash256(PARAMS_CONTEXT, self.encode())

    @property
    def precision(self) -> int:
        """What the job costs each dataset [1e-12], rounded up. Raises `Rejected`."""
        cost = recipe_of(self.recipe).cost(Budget(self.eps, self.delta))
        return precision_units(cost.precision)

    def order(self, job: bytes, pot_wei: int) -> Order:
        """Give the order of a job. Raises `UnknownRecipe`."""
        return Order(job.hex(), recipe_of(self.recipe), self.eps, pot_wei, self.delta)


def precision_units(precision: float) -> int:
    """Bring 1/sigma^2 to what contracts count, rounded up."""
    return int(-(-precision * PRECISION_UNITS // 1))


def read_params(untrusted: bytes) -> Params:
    """Read what `Params.encode` wrote. Raises `BadUpload`, `BadJob`."""
    try:
        found: dict[str, Any] = orjson.loads(untrusted)
        params = Params(
            recipe=str(found["recipe"]),
            eps=float(found["eps"]),
            delta=float(found["delta"]),
            label=str(found["label"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadUpload(f"no parameters of a job: {type(error).__name__}") from error
    if params.encode() != untrusted:
        raise BadUpload("parameters are JSON with sorted keys, without spaces")
    Budget(params.eps, params.delta)
    return params


def open_sealed(secret: PrivateKey, kind: type[U], untrusted: bytes) -> U:
    """Open what was sealed to us. Raises `BadUpload`."""
    try:
        return open_box(secret, kind, untrusted, MAX_UPLOAD_BYTES)
    except BadBox as error:
        raise BadUpload(error.message) from error
