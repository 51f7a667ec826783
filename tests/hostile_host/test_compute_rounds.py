"""Rounds that consensus never finalized, headers and changes that are not those of a round."""

from dataclasses import replace

import pytest

from shared.encoding.record import encode_record
from shared.errors import QanatError, RuntimeRejected
from shared.types.block import HeaderType, RoundBlock, RoundChange
from shared.types.evm import EvmCall, EvmQuery
from tests.support.evm_state import (
    SECRET,
    assert_root_is_the_cores,
    encode_diff,
    entries_after,
    root_of,
    spy_at,
)

READ_SLOT = {"caller": bytes(20), "gas": 1_000_000, "gas_price": 0, "value": 0, "data": b""}


def spy_call(scene) -> bytes:
    return encode_record(EvmCall(to=scene.victim, **READ_SLOT))


def forged_round(scene, after: int = 3) -> RoundChange:
    """A round after the deployment, in round 3, that puts spying code in the victim's place."""
    entries = entries_after(*(change.diff for change in scene.changes[2 : after + 1]))
    spy = spy_at(scene.victim, entries)
    header = replace(
        scene.changes[4].block.header,
        state_root=root_of(entries | spy),
        previous_hash=scene.changes[after].block.header.hash(),
        header_type=HeaderType.NORMAL,
    )
    return RoundChange(RoundBlock(header), encode_diff(spy))


def test_the_attack_would_work_on_a_state_that_were_final(scene):
    assert_root_is_the_cores(*(change.diff for change in scene.changes[2:4]))
    forged = forged_round(scene, after=4)
    scene.bench.chain.finalize(forged.block.header.state_root, forged.block.header.io_root)
    scene.show_chain()
    header = scene.bench.chain.head
    final = replace(forged, block=RoundBlock(header))
    scene.host.ask("apply", (*scene.changes, final))
    assert scene.host.ask("query", EvmQuery.CALL, spy_call(scene), 5) == SECRET


def test_a_round_that_is_not_proven_final_answers_nothing(scene):
    # The newest block is round 5, so that the forged round 4 can be taken up, and waits for proof.
    scene.bench.chain.fail_round()
    scene.show_chain()
    scene.host.ask("apply", (*scene.changes[:4], forged_round(scene)))
    for round_ in range(5):
        for method in (EvmQuery.CALL, EvmQuery.ESTIMATE_GAS):
            with pytest.raises(QanatError):
                scene.host.ask("query", method, spy_call(scene), round_)
        with pytest.raises(QanatError):
            scene.host.ask("fetch_diff", round_)
    with pytest.raises(QanatError):
        scene.host.ask("execute", 6, ())
    with pytest.raises(QanatError):
        scene.host.ask("check", (b"raw",))


def test_a_query_sees_the_header_that_was_final_and_not_one_that_was_here_before(scene):
    """What is kept for a round and an epoch must not outlive the header it was made from."""
    forged = replace(scene.changes[4].block.header, timestamp=4_000_000_000)
    scene.show_chain()
    change = replace(scene.changes[4], block=replace(scene.changes[4].block, header=forged))
    with pytest.raises(QanatError):
        scene.host.ask("apply", (*scene.changes[:4], change))
    with pytest.raises(QanatError):
        scene.host.ask("query", EvmQuery.CALL, spy_call(scene), 4)
    assert scene.catch_up().is_level
    # Init code that reverts with the block's time.
    call = EvmCall(to=None, **READ_SLOT | {"data": bytes.fromhex("4260005260206000fd")})
    with pytest.raises(RuntimeRejected) as reverted:
        scene.host.ask("query", EvmQuery.CALL, encode_record(call), 4)
    assert int.from_bytes(reverted.value.data, "big") == scene.changes[4].block.header.timestamp
