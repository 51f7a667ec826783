"""Everything of variable length that a stranger's transaction carries has a bound."""

import dataclasses
import enum
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, Union, get_args, get_origin

import pytest

from shared.encoding.notes import AtMost, Size
from shared.types import keymanager, methods, registry, transaction

READ_FROM_TRANSACTIONS = (
    transaction.SignedTransaction,
    transaction.Transaction,
    methods.Transfer,
    methods.Burn,
    methods.AddEscrow,
    methods.ReclaimEscrow,
    methods.Allow,
    methods.Withdraw,
    methods.UnfreezeNode,
    methods.ExecutorCommit,
    methods.Evidence,
    methods.AdvanceEpoch,
    methods.MoveTime,
    methods.Mine,
    methods.SetMining,
    methods.SetNextTimestamp,
    registry.SignedDescriptor,
    registry.Entity,
    registry.NodeDescriptor,
    registry.RuntimeDescriptor,
    keymanager.SignedPolicy,
    keymanager.Policy,
    keymanager.SignedPublishedSecret,
    keymanager.SignedInitResponse,
)
BOUND_BY_THE_TRANSACTION = {
    "SignedTransaction.untrusted_raw_value",
    "Transaction.body",
    "SignedDescriptor.untrusted_raw_value",
    "SignedPolicy.untrusted_raw_value",
    "RuntimeDescriptor.genesis",
}
"""Its size is at most `max_tx_bytes`, and each byte costs gas."""
BOUND_BY_A_RULE = {
    "Entity.nodes",  # MalformedEntity
    "NodeDescriptor.runtimes",  # BadRoles
    "ExecutorCommit.commitments",  # CommitmentCount
}


def unbounded(kind: Any, place: str, seen: set[Any]) -> Iterator[str]:
    origin = get_origin(kind)
    if isinstance(kind, typing.NewType):
        yield from unbounded(kind.__supertype__, place, seen)
    elif origin is Annotated:
        base, *notes = get_args(kind)
        if any(isinstance(note, Size | AtMost) for note in notes):
            for inner in get_args(base):
                yield from unbounded(inner, place, seen)
        elif base is not int:
            yield from unbounded(base, place, seen)
    elif origin in (Union, types.UnionType):
        for option in get_args(kind):
            yield from unbounded(option, place, seen)
    elif origin is tuple and Ellipsis not in get_args(kind):
        for item in get_args(kind):
            yield from unbounded(item, place, seen)
    elif origin in (tuple, dict) or kind in (bytes, str):
        yield place
    elif isinstance(kind, type) and dataclasses.is_dataclass(kind) and kind not in seen:
        seen.add(kind)
        hints = typing.get_type_hints(kind, include_extras=True)
        for field in dataclasses.fields(kind):
            yield from unbounded(hints[field.name], f"{kind.__name__}.{field.name}", seen)
    else:
        known = kind in (int, bool, type(None), Ellipsis) or kind in seen
        assert known or issubclass(kind, enum.Enum), kind


@pytest.mark.parametrize("kind", READ_FROM_TRANSACTIONS, ids=lambda kind: kind.__name__)
def test_what_varies_in_length_has_a_bound(kind: type) -> None:
    found = set(unbounded(kind, kind.__name__, set()))
    assert found - BOUND_BY_THE_TRANSACTION - BOUND_BY_A_RULE == set()
