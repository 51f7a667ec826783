"""What is remembered of transactions, how long, and how answers are shown."""

from dataclasses import replace

from qanat.view.envelopes import EpochKey
from qanat.view.journal import ENTRY_BYTES, Journal, Sent
from services.gateway.pooled import read_transaction
from services.gateway.transactions import Unsigned, sign

PLAIN = read_transaction(sign(Unsigned(2, 1, 2, 3, 3, None, 4, b"five", 1, ()), bytes([1]) * 32))


def hash_of(number):
    return f"0x{number:064x}"


def sent(chain, shown, size=4):
    plain = replace(PLAIN, input=bytes(size))
    return Sent(hash_of(chain), hash_of(shown), plain, bytes(size), EpochKey(2, b""), b"B" * 32)


def test_the_oldest_is_forgotten_and_memory_has_a_bound():
    journal = Journal(max_bytes=10 * (ENTRY_BYTES + 2_000))
    for number in range(100):
        journal.add(sent(number, 1000 + number, size=1_000))
    assert len(journal) == 10
    assert journal.find_shown(hash_of(1000 + 89)) is None
    assert journal.find_shown(hash_of(1000 + 90)).chain_hash == hash_of(90)
    assert journal.show(hash_of(89)) == hash_of(89)
    assert journal.show(hash_of(99)) == hash_of(1099)


def test_a_transaction_sealed_again_has_both_of_its_hashes_shown_as_one():
    journal = Journal()
    journal.add(sent(1, 7))
    journal.add(sent(2, 7))
    assert journal.find_shown(hash_of(7)).chain_hash == hash_of(2)
    assert journal.show([hash_of(1), hash_of(2), hash_of(3)]) == [
        hash_of(7),
        hash_of(7),
        hash_of(3),
    ]
    journal.add(sent(1, 7))
    assert len(journal) == 2
    assert journal.find_shown(hash_of(7).upper().replace("X", "x")).chain_hash == hash_of(1)


def test_a_transaction_that_nobody_took_leaves_the_one_before():
    journal = Journal()
    journal.add(sent(1, 7))
    journal.add(refused := sent(2, 7))
    journal.withdraw(refused)
    assert journal.find_shown(hash_of(7)).chain_hash == hash_of(1)
    journal.withdraw(journal.find_shown(hash_of(7)))
    assert journal.find_shown(hash_of(7)) is None
    assert len(journal) == 0


def test_what_is_no_transaction_of_ours_stays_as_it_is():
    journal = Journal()
    values = [None, 1, "0x", {"hash": 5}, {"hash": None, "input": "0x"}, [[], {}], {"output": []}]
    assert journal.show(values) == values
    journal.add(sent(1, 2))
    assert journal.show(values) == values
    foreign = {"hash": hash_of(9), "input": "0x11", "v": "0x0"}
    assert journal.show(foreign) == foreign


def test_what_the_gateway_says_of_a_result_is_opened_or_left():
    journal = Journal()
    journal.add(sent(1, 1))
    for output in ("0x", "0x12", "nonsense", 5, None):
        shown = {"transactionHash": hash_of(1), "encrypted": True, "output": output}
        assert journal.show(shown) == shown


def test_nothing_secret_is_shown():
    assert "BBBB" not in repr(sent(1, 2))
