"""A commitment binds its owner to every row, and shows none."""

import pytest

from apps.data_market.errors import BadTable
from apps.data_market.intake.commitment import commit, prove_row, verify_row
from apps.data_market.intake.table import read_table
from shared.crypto.merkle import BadMerkleProof
from shared.crypto.secret import SecretBytes

SECRET, OTHER = SecretBytes(b"s" * 32), SecretBytes(b"t" * 32)
TABLE = read_table(b"a,b,kind\n1,2,x\n3,4,y\n1,2,x\n-0,0,x\n5,6,y\n", "kind")


@pytest.mark.parametrize("index", range(5))
def test_each_row_is_shown_to_be_there(index) -> None:
    commitment = commit(TABLE, SECRET)
    assert (len(commitment.root), commitment.rows) == (32, 5)
    proof = prove_row(TABLE, SECRET, index)
    verify_row(commitment, TABLE.numbers[index].tolist(), TABLE.labels[index], proof)


def test_another_number_label_place_or_salt_is_not() -> None:
    commitment = commit(TABLE, SECRET)
    proof = prove_row(TABLE, SECRET, 1)
    for numbers, label in (([3, 5], "y"), ([3, 4], "x"), ([4, 3], "y")):
        with pytest.raises(BadMerkleProof):
            verify_row(commitment, numbers, label, proof)
    for other in (prove_row(TABLE, SECRET, 0), prove_row(TABLE, OTHER, 1)):
        with pytest.raises(BadMerkleProof):
            verify_row(commitment, [3, 4], "y", other)


def test_equal_rows_are_not_seen_to_be_equal() -> None:
    assert prove_row(TABLE, SECRET, 0).salt != prove_row(TABLE, SECRET, 2).salt
    assert commit(TABLE, SECRET).root != commit(TABLE, OTHER).root


def test_every_row_and_column_name_is_bound() -> None:
    roots = {commit(TABLE, SECRET)}
    for raw in (
        b"a,b,kind\n1,2,x\n3,4,y\n1,2,x\n0,0,x\n5,6,x\n",
        b"a,b,kind\n1,2,x\n3,4,y\n1,2,x\n0,0,x\n",
        b"b,a,kind\n1,2,x\n3,4,y\n1,2,x\n0,0,x\n5,6,y\n",
    ):
        roots.add(commit(read_table(raw, "kind"), SECRET))
    assert len(roots) == 4


def test_a_row_that_is_not_there_is_not_shown() -> None:
    with pytest.raises(BadTable):
        prove_row(TABLE, SECRET, 5)
