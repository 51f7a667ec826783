"""CometBFT's hashes, native and written down in Python, are one."""

import hypothesis.strategies as st
import pytest
from hypothesis import given

from shared.crypto.merkle import merkle_root
from shared.encoding.protobuf import NumberOutOfRange
from shared.rules import headers
from shared.types.proof import BlockId, Commit, CommitSignature, Header, Validator
from tests.support import python_headers

INTEGERS = st.integers(0, 2**63 - 1)
TIMES = st.integers(-62_135_596_800 * 10**9, 2**64)
HASHES = st.binary(min_size=32, max_size=32)
SOME_BYTES = st.binary(max_size=40)
NAMES = st.builds(BlockId, st.just(b"") | HASHES, INTEGERS, SOME_BYTES)
SIGNATURES = st.builds(CommitSignature, SOME_BYTES, TIMES, SOME_BYTES)
COMMITS = st.builds(Commit, INTEGERS, INTEGERS, NAMES, st.lists(SIGNATURES, max_size=4).map(tuple))
HEADERS = st.builds(
    Header,
    INTEGERS,
    INTEGERS,
    st.text(max_size=20),
    INTEGERS,
    TIMES,
    NAMES,
    *(SOME_BYTES for _ in range(9)),
)
VALIDATORS = st.lists(st.builds(Validator, HASHES, st.integers(0, 3) | INTEGERS), max_size=6)
LISTS = st.lists(st.binary(max_size=100), max_size=20)


@given(LISTS)
def test_lists(items):
    assert merkle_root(items) == python_headers.merkle_root(items)


@given(HEADERS)
def test_headers(header):
    assert headers.header_hash(header) == python_headers.header_hash(header)


@given(st.text(max_size=20), COMMITS, TIMES)
def test_what_validators_sign(chain_id, commit, time_ns):
    arguments = chain_id, commit, time_ns
    signed = headers.precommit_sign_bytes(*arguments)
    assert signed == python_headers.precommit_sign_bytes(*arguments)


@given(COMMITS, VALIDATORS)
def test_commits_and_validator_sets(commit, validators):
    assert headers.commit_hash(commit.signatures) == python_headers.commit_hash(commit.signatures)
    assert headers.validators_hash(validators) == python_headers.validators_hash(validators)


@given(HEADERS, LISTS, LISTS, st.none() | COMMITS)
def test_names_of_blocks(header, transactions, evidence, last_commit):
    block = header, transactions, evidence, last_commit
    assert headers.block_id(*block) == python_headers.block_id(*block)


@given(HEADERS)
def test_a_block_of_several_parts(header):
    block = header, [bytes(70_000), b"\x01" * 70_000], [], None
    assert headers.block_id(*block) == python_headers.block_id(*block)
    assert headers.block_id(*block).parts_total == 3


@pytest.mark.parametrize("number", [2**63, 2**64 + 1])
def test_a_number_that_would_pass_for_another_is_refused(number):
    commit = Commit(number, 0, BlockId(b""), ())
    with pytest.raises(NumberOutOfRange):
        headers.precommit_sign_bytes("", commit, 0)
    with pytest.raises(NumberOutOfRange):
        headers.validators_hash([Validator(bytes(32), number)])
