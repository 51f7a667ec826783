"""Turns of senders, for whom the gateway fills in nonces."""

import asyncio

from services.gateway.turns import Turns

ALICE, BOB = b"a" * 20, b"b" * 20


async def test_the_next_one_chooses_when_the_first_lets_him():
    turns, order = Turns(), []
    is_mined = asyncio.Event()

    async def send(name, *, is_early):
        with turns.of(ALICE) as turn:
            async with turn.choosing() as end:
                order.append(f"{name} {turn.number(0)}")
                turn.note_taken(turn.number(0))
                if is_early:
                    end()
                await is_mined.wait()

    early, late, last = (
        asyncio.create_task(send(name, is_early=name == "early"))
        for name in ("early", "late", "last")
    )
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert order == ["early 0", "late 1"]
    is_mined.set()
    await asyncio.gather(early, late, last)
    assert order == ["early 0", "late 1", "last 2"]


async def test_senders_have_turns_of_their_own():
    turns = Turns()
    with turns.of(ALICE) as alice, turns.of(BOB) as bob:
        async with alice.choosing(), bob.choosing():
            alice.note_taken(6)
            assert (alice.number(0), bob.number(0)) == (7, 0)


async def test_what_blocks_say_counts_again_when_nothing_is_under_way():
    turns = Turns()
    with turns.of(ALICE) as turn:
        turn.note_taken(6)
        with turns.of(ALICE) as same:
            assert same.number(3) == 7
            assert same.number(9) == 9
    with turns.of(ALICE) as turn:
        assert turn.number(3) == 3
