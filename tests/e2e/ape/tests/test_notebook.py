"""As a developer writes tests for Ape: accounts, a deployment, transactions, events, reverts."""

import ape
import pytest


@pytest.fixture
def owner(accounts):
    return accounts[0]


@pytest.fixture
def notebook(owner, project):
    return owner.deploy(project.Notebook)


def test_note_is_logged_with_its_author(notebook, owner):
    receipt = notebook.write(b"a note", sender=owner)
    assert not receipt.failed
    [written] = notebook.Written.from_receipt(receipt)
    assert (written.author, written.number) == (owner.address, 0)


def test_failure_says_its_reason(notebook, owner):
    with ape.reverts("a note says something"):
        notebook.write(b"", sender=owner)


def test_transfer_moves_value_and_costs_a_fee(accounts):
    before = accounts[2].balance
    receipt = accounts[1].transfer(accounts[2], "1 ether")
    assert accounts[2].balance == before + 10**18
    assert receipt.gas_used > 0
