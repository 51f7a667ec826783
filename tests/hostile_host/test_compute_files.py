"""Files that the host changed, swapped or brought back while the enclave was not looking."""

import os
import shutil
import sqlite3
from dataclasses import replace

import pytest

from shared.enclave.set_aside import FILES, LARGEST_BYTES
from shared.encoding.record import decode_record, encode_record
from shared.errors import QanatError, RuntimeRejected
from shared.types.block import BlockHeader, RoundBlock, RoundChange
from shared.types.evm import Account, AccountQuery, EvmCall, EvmQuery
from tests.support.compute_nodes import RICH, raw
from tests.support.enclave_bench import Bench, first_changes
from tests.support.evm_state import encode_diff, entries_after, root_of, spy_at
from tests.support.lying_host import flipped

TIME_CODE = bytes.fromhex("4260005260206000fd")
"""Init code that reverts with the block's time: what a query sees of its header."""


def account(scene, round_: int) -> Account:
    args = encode_record(AccountQuery(RICH))
    return decode_record(Account, scene.host.ask("query", EvmQuery.ACCOUNT, args, round_))


def time_in(scene, round_: int) -> int:
    """Time that a query on a round sees."""
    call = EvmCall(bytes(20), None, 1_000_000, 0, 0, TIME_CODE)
    try:
        scene.host.ask("query", EvmQuery.CALL, encode_record(call), round_)
    except RuntimeRejected as reverted:
        return int.from_bytes(reverted.data, "big")
    raise AssertionError("the call did not revert")


def rows(scene):
    with sqlite3.connect(scene.host.directory / "headers.db") as database:
        return database.execute("SELECT * FROM chained ORDER BY round").fetchall()


def write(scene, statement: str, *values) -> None:
    with sqlite3.connect(scene.host.directory / "headers.db") as database:
        database.execute(statement, values)


@pytest.fixture
def stopped(scene):
    """The enclave has caught up and been stopped: its files are the host's."""
    assert scene.catch_up().is_level
    scene.host.stop()
    return scene


def test_headers_and_state_survive_an_honest_restart(stopped):
    stopped.host.restart()
    assert stopped.show_chain().is_level
    assert [account(stopped, r).nonce for r in range(5)] == [0, 0, 1, 2, 2]
    assert time_in(stopped, 2) == stopped.changes[2].block.header.timestamp


@pytest.mark.parametrize("column", ["raw", "skips", "tag"])
@pytest.mark.parametrize("round_", [0, 1, 2, 3])
def test_a_changed_row_is_no_header(stopped, column, round_):
    values = dict(zip(("round", "raw", "skips", "tag"), rows(stopped)[round_], strict=True))
    forged = flipped(values[column]) if values[column] else b"x" * 32
    write(stopped, f"UPDATE chained SET {column} = ? WHERE round = ?", forged, round_)  # noqa: S608
    stopped.host.restart()
    stopped.show_chain()
    with pytest.raises(QanatError):
        time_in(stopped, round_)
    assert time_in(stopped, 4) == stopped.changes[4].block.header.timestamp


def test_the_row_of_another_round_and_one_of_another_time_are_no_header(stopped):
    stored = rows(stopped)
    header = decode_record(BlockHeader, stored[2][1])
    forged = encode_record(replace(header, timestamp=header.timestamp + 1_000_000))
    for raw_header, skips, tag in (stored[3][1:], (forged, *stored[2][2:])):
        write(
            stopped,
            "UPDATE chained SET raw = ?, skips = ?, tag = ? WHERE round = 2",
            raw_header,
            skips,
            tag,
        )
        stopped.host.restart()
        stopped.show_chain()
        with pytest.raises(QanatError):
            time_in(stopped, 2)
        stopped.host.stop()


def test_a_row_that_the_enclave_wrote_for_a_round_that_never_was_is_no_header(scene):
    """The host has the enclave take up a forged round, keeps its row, and brings it back later."""
    forged = replace(scene.changes[3].block.header, timestamp=4_000_000_000)
    change = replace(scene.changes[3], block=replace(scene.changes[3].block, header=forged))
    scene.show_chain()
    scene.host.ask("apply", (*scene.changes[:3], change))
    scene.host.stop()
    row = rows(scene)[3]
    assert decode_record(BlockHeader, row[1]) == forged
    scene.host.restart()
    with pytest.raises(QanatError):
        scene.show_chain()
    assert scene.catch_up().is_level
    scene.host.stop()
    write(scene, "INSERT OR REPLACE INTO chained VALUES (?, ?, ?, ?)", *row)
    scene.host.restart()
    assert scene.show_chain().is_level
    with pytest.raises(QanatError):
        time_in(scene, 3)


def test_an_old_file_of_headers_answers_about_old_rounds_only(scene):
    old = scene.host.directory / "old.db"
    scene.show_chain()
    scene.host.ask("apply", tuple(scene.changes[:3]))
    scene.host.stop()
    shutil.copy(scene.host.directory / "headers.db", old)
    scene.host.restart()
    assert scene.catch_up().is_level
    scene.host.stop()
    shutil.copy(old, scene.host.directory / "headers.db")
    scene.host.restart()
    state = scene.show_chain()
    # The states are here, so the rounds that are missing are asked for again; nothing else.
    assert (state.is_level, state.next_round) == (False, 3)
    for round_ in range(5):
        with pytest.raises(QanatError):
            account(scene, round_)
    assert scene.catch_up().is_level
    assert account(scene, 4).nonce == 2


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 400, None])
def test_a_damaged_file_of_headers_is_begun_anew(stopped, damage):
    path = stopped.host.directory / "headers.db"
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    stopped.host.restart()
    assert stopped.show_chain().next_round == 0
    assert stopped.catch_up().is_level
    assert account(stopped, 4).nonce == 2


def test_a_state_with_other_code_in_a_contracts_place_is_not_read(scene, tmp_path_factory):
    """Another enclave of the host takes up a forged round; its file is put in place."""
    scene.bench.chain.fail_round()
    scene.changes.append(RoundChange(RoundBlock(scene.bench.chain.head), b""))
    entries = entries_after(*(change.diff for change in scene.changes[2:4]))
    spy = spy_at(scene.victim, entries)
    header = replace(
        scene.changes[4].block.header,
        state_root=root_of(entries | spy),
        previous_hash=scene.changes[3].block.header.hash(),
    )
    forged = RoundChange(replace(scene.changes[4].block, header=header), encode_diff(spy))
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    forger = scene.bench.program("forger", elsewhere)
    forger.initialize(scene.bench.chain.prove(scene.bench.keys))
    assert forger.apply((*scene.changes[:4], forged)).state.next_round == 5
    forger.close()

    assert scene.catch_up().is_level
    scene.host.stop()
    shutil.copy(elsewhere / "state.redb", scene.host.directory / "state.redb")
    scene.host.restart()
    scene.show_chain()
    call = encode_record(EvmCall(bytes(20), scene.victim, 1_000_000, 0, 0, b""))
    for round_ in range(6):
        with pytest.raises(QanatError):
            scene.host.ask("query", EvmQuery.CALL, call, round_)
    assert scene.catch_up().is_level
    assert scene.host.ask("query", EvmQuery.CALL, call, 5) == b""


@pytest.mark.parametrize("from_round", [2, 3])
def test_an_old_state_is_caught_up_and_not_read_as_the_new_one(scene, from_round):
    old = scene.host.directory / "old.redb"
    scene.show_chain()
    scene.host.ask("apply", tuple(scene.changes[: from_round + 1]))
    scene.host.stop()
    shutil.copy(scene.host.directory / "state.redb", old)
    scene.host.restart()
    assert scene.catch_up().is_level
    scene.host.stop()
    shutil.copy(old, scene.host.directory / "state.redb")
    scene.host.restart()
    assert scene.show_chain().next_round == from_round + 1
    assert scene.catch_up().is_level
    assert account(scene, 4).nonce == 2
    executed = scene.host.ask("execute", 5, (raw(2),))
    assert executed.included == (0,)


@pytest.mark.parametrize("damage", ["none", "lost", "cut", "changed", "other bytes", "repeated"])
def test_of_a_log_of_states_counts_what_follows(scene, damage):
    """The enclave died before its newest rounds were in the database of states."""
    assert scene.catch_up().is_level
    database, log = (scene.host.directory / name for name in ("state.redb", "state.log"))
    died, entries = database.read_bytes(), log.read_bytes()
    scene.host.stop()
    assert log.read_bytes() == b""
    database.write_bytes(died)
    middle = len(entries) // 2
    damaged = {
        "none": entries,
        "lost": b"",
        "cut": entries[:middle],
        "changed": entries[:middle] + flipped(entries[middle : middle + 1]) + entries[middle + 1 :],
        "other bytes": b"no log at all" * 400,
        "repeated": entries[:middle] + entries,
    }
    log.write_bytes(damaged[damage])
    scene.host.restart()
    assert scene.show_chain().is_level == (damage == "none")
    assert scene.catch_up().is_level
    assert [account(scene, round_).nonce for round_ in range(5)] == [0, 0, 1, 2, 2]


@pytest.mark.parametrize("damage", ["none", "lost", "cut", "changed", "of another", "long"])
def test_what_was_set_aside_is_no_state_unless_it_leads_to_what_is_final(scene, damage):
    """A proposal was executed and given up for another, and became final all the same."""
    assert scene.catch_up().is_level
    given_up = scene.host.ask("execute", 5, (raw(2),))
    scene.host.ask("execute", 5, (raw(2), raw(3)))
    scene.host.ask("execute", 5, ())
    scene.host.stop()
    path = scene.host.directory / FILES.replace("*", f"5-{given_up.header.state_root.hex()}")
    (other,) = set(scene.host.directory.glob(FILES)) - {path}
    change = path.read_bytes()
    match damage:
        case "lost":
            path.unlink()
        case "cut":
            path.write_bytes(change[: len(change) // 2])
        case "changed":
            path.write_bytes(change[:-1] + flipped(change[-1:]))
        case "of another":
            path.write_bytes(other.read_bytes())
        case "long":
            os.truncate(path, LARGEST_BYTES + 1)
    scene.host.restart()
    assert scene.show_chain().is_level
    state = scene.host.ask("advance", encode_record(scene.bench.finalize(given_up)))
    assert state.is_level == (damage == "none")
    block = RoundBlock(scene.bench.chain.head, (raw(2),), given_up.results)
    assert scene.host.ask("apply", (RoundChange(block, change),)).state.is_level
    assert account(scene, 5).nonce == 3
    assert list(scene.host.directory.glob(FILES)) == []


def test_a_state_that_changes_under_a_running_enclave_gives_nothing_wrong(stopped):
    """Bytes of the file change anywhere; the enclave refuses, or answers what is true."""
    path = stopped.host.directory / "state.redb"
    intact = path.read_bytes()
    used = [offset for offset in range(0, len(intact), 509) if intact[offset]]
    for offset in used[:60]:
        path.write_bytes(
            intact[:offset] + flipped(intact[offset : offset + 1]) + intact[offset + 1 :]
        )
        try:
            stopped.host.restart()
            stopped.show_chain()
            for round_, nonce in enumerate((0, 0, 1, 2, 2)):
                assert account(stopped, round_).nonce == nonce
        except QanatError:
            pass
        finally:
            stopped.host.stop()
    path.write_bytes(intact)


def test_a_second_chain_of_the_same_name_is_another_chain(scene):
    other = Bench()
    honest = other.start("honest")
    other.run(honest, raw(0, value=7))
    first = first_changes(other.chain)
    scene.show_chain()
    with pytest.raises(QanatError):
        scene.host.ask("initialize", other.chain.prove(other.keys))
    with pytest.raises(QanatError):
        scene.host.ask("apply", (*first, replace(scene.changes[2], diff=b"")))
