"""Who may read a note is state, and nobody else learns anything of it."""

import pytest

from qanat.paratime.harness import LocalChain
from qanat.paratime.signing import Account
from shared.errors import RuntimeRejected

ALICE, BOB, EVE = (Account(bytes([n]) * 32) for n in (1, 2, 3))


@pytest.fixture
def chain() -> LocalChain:
    return LocalChain("examples.sealed_notes")


def refusal(chain: LocalChain, who: Account, number: int) -> int:
    with pytest.raises(RuntimeRejected) as refused:
        chain.read(who, "notes.Read", number)
    assert refused.value.module == "notes"
    return refused.value.code


def test_a_note_is_its_authors_until_it_is_shared(chain: LocalChain) -> None:
    number = chain.send(ALICE, "notes.Write", "the combination is 1234")
    assert chain.read(ALICE, "notes.Read", number)["text"] == "the combination is 1234"
    assert refusal(chain, BOB, number) == 2
    chain.send(ALICE, "notes.Share", {"note": number, "reader": BOB.address})
    assert chain.read(BOB, "notes.Read", number)["text"] == "the combination is 1234"
    assert chain.read(BOB, "notes.Mine") == [number]
    assert refusal(chain, EVE, number) == 2
    chain.send(ALICE, "notes.Unshare", {"note": number, "reader": BOB.address})
    assert refusal(chain, BOB, number) == 2
    assert chain.read(BOB, "notes.Mine") == []


def test_only_an_author_shares(chain: LocalChain) -> None:
    number = chain.send(ALICE, "notes.Write", "x")
    for method in ("notes.Share", "notes.Unshare"):
        with pytest.raises(RuntimeRejected, match="only its author"):
            chain.send(EVE, method, {"note": number, "reader": EVE.address})
    with pytest.raises(RuntimeRejected, match="an author always reads"):
        chain.send(ALICE, "notes.Unshare", {"note": number, "reader": ALICE.address})
    assert refusal(chain, ALICE, 99) == 1


def test_a_query_without_a_signature_learns_the_number_alone(chain: LocalChain) -> None:
    chain.send(ALICE, "notes.Write", "x")
    assert chain.query("notes.Total") == 1
    with pytest.raises(RuntimeRejected, match="invalid method"):
        chain.query("notes.Read", 0)


def test_what_leaves_the_enclave_shows_no_text_and_no_author(chain: LocalChain) -> None:
    raw, _ = chain.sign(ALICE, "notes.Write", "a canary in a note")
    chain.run(raw)
    raw_read, _ = chain.sign(ALICE, "notes.Read", 0, ro=True)
    (record,) = chain.records
    state = b"".join(key + value for key, value in chain.runtime._store.scan(limit=1000))
    diff = chain.runtime.diff_at(chain.header.round)
    shown = raw + raw_read + state + diff + record.result + record.events[0][1]
    assert b"canary" not in shown
    # The author is in the account's nonce and in the record, as the sender of some transaction.
    assert record.events[0][1].hex() == "81a1646e6f746500"


def test_a_text_has_a_bound(chain: LocalChain) -> None:
    with pytest.raises(RuntimeRejected, match="invalid argument"):
        chain.send(ALICE, "notes.Write", "x" * 4097)
