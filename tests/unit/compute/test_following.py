"""The table of a node's following: what leads where, and what never happens."""

from dataclasses import replace

import pytest

from services.compute.rules.following import (
    ALLOWED,
    Behind,
    CatchingUp,
    IllegalStep,
    Level,
    Unaware,
    hear_enclave,
    see_head,
    step,
)
from shared.crypto.hashes import EMPTY_HASH
from shared.types.block import BlockHeader, HeaderType


def head(round_: int) -> BlockHeader:
    return BlockHeader(
        1, b"r" * 32, round_, 0, HeaderType.NORMAL, EMPTY_HASH, EMPTY_HASH, EMPTY_HASH
    )


STATES = {
    Unaware: Unaware(),
    Behind: Behind(head(5)),
    CatchingUp: CatchingUp(head(5)),
    Level: Level(head(5)),
}


@pytest.mark.parametrize("now", STATES)
@pytest.mark.parametrize("following", STATES)
def test_the_table_alone_says_where_to_go(now, following):
    if following in ALLOWED[now]:
        assert step(STATES[now], STATES[following]) == STATES[following]
    else:
        with pytest.raises(IllegalStep):
            step(STATES[now], STATES[following])


@pytest.mark.parametrize("now", [Behind, CatchingUp, Level])
def test_the_head_never_goes_back(now):
    for following in ALLOWED[now]:
        with pytest.raises(IllegalStep):
            step(STATES[now], replace(STATES[following], head=head(4)))


def test_a_level_node_that_executed_the_new_round_stays_level():
    assert see_head(Level(head(5)), head(6), is_settled=True) == Level(head(6))


@pytest.mark.parametrize(
    ("now", "is_settled", "expected"),
    [
        (Level(head(5)), False, Behind(head(6))),
        (Behind(head(5)), True, Behind(head(6))),
        (Behind(head(5)), False, Behind(head(6))),
        (CatchingUp(head(5)), True, CatchingUp(head(6))),
    ],
)
def test_any_other_waits_for_the_word_of_its_enclave(now, is_settled, expected):
    assert see_head(now, head(6), is_settled=is_settled) == expected


@pytest.mark.parametrize("now", [Behind(head(5)), CatchingUp(head(5)), Level(head(5))])
def test_the_word_of_the_enclave_decides(now):
    level = hear_enclave(now, head=5, is_level=True, next_round=6)
    assert level == Level(head(5))
    for lacking in ({"is_level": False, "next_round": 6}, {"is_level": True, "next_round": 5}):
        assert hear_enclave(now, head=5, **lacking) == CatchingUp(head(5))


@pytest.mark.parametrize("now", [Behind(head(5)), CatchingUp(head(5)), Level(head(5))])
@pytest.mark.parametrize("is_level", [True, False])
def test_an_answer_to_an_older_proof_changes_nothing(now, is_level):
    assert hear_enclave(now, head=4, is_level=is_level, next_round=9) == now
