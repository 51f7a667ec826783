"""Proven states of blocks that were never made, by any validators and of any content."""

import dataclasses

from shared.crypto.hashes import sha256
from shared.crypto.merkle import merkle_proof
from shared.crypto.signing import Signer
from shared.crypto.state_tree import StateTree
from shared.rules import headers
from shared.rules.meta import encode_meta
from shared.types.proof import (
    BlockId,
    Commit,
    CommitSignature,
    Header,
    LightBlock,
    MetaProof,
    ProvenState,
    Validator,
)

CHAIN_ID = "qanat-test"
SECOND = 1_000_000_000
SIGNERS = [Signer(bytes([number]) * 32) for number in range(1, 8)]


def set_of(*signers: Signer) -> tuple[Validator, ...]:
    return headers.in_order(Validator(signer.public_key, 10) for signer in signers)


def proven(
    height: int,
    signers: list[Signer],
    *,
    named: tuple[Validator, ...] | None = None,
    following: tuple[Validator, ...] | None = None,
    state: dict[bytes, bytes] | None = None,
    keys: tuple[bytes, ...] = (b"key",),
    chain_id: str = CHAIN_ID,
    time_ns: int | None = None,
    first: bytes = b"first",
    incarnation: int = 0,
) -> ProvenState:
    """State proven by a block that `signers` signed, and whose header names the set `named`."""
    named = set_of(*signers) if named is None else named
    tree = StateTree.empty().with_changes(state or {b"key": b"value"})
    transactions = [first, b"second", encode_meta(tree.root, incarnation)]
    header = Header(
        version_block=headers.BLOCK_VERSION,
        version_app=1,
        chain_id=chain_id,
        height=height,
        time_ns=height * SECOND if time_ns is None else time_ns,
        last_block_id=BlockId(b""),
        last_commit_hash=headers.commit_hash(()),
        data_hash=headers.data_hash(transactions),
        validators_hash=headers.validators_hash(named),
        next_validators_hash=headers.validators_hash(following or named),
        consensus_hash=bytes(32),
        app_hash=bytes(32),
        last_results_hash=bytes(32),
        evidence_hash=bytes(32),
        proposer_address=headers.validator_address(signers[0].public_key),
    )
    name = headers.block_id(header, transactions, [], None)
    unsigned = Commit(height, 0, name, ())
    votes = tuple(
        CommitSignature(
            headers.validator_address(signer.public_key),
            header.time_ns + index,
            signer.sign_raw(
                headers.precommit_sign_bytes(chain_id, unsigned, header.time_ns + index)
            ),
        )
        for index, signer in enumerate(signers)
    )
    hashes = [sha256(transaction) for transaction in transactions]
    return ProvenState(
        LightBlock(header, dataclasses.replace(unsigned, signatures=votes), named),
        MetaProof(transactions[-1], 3, merkle_proof(hashes, 2)),
        tuple((key, tree.get(key)) for key in keys),
        tree.prove(keys),
    )


def with_header(state: ProvenState, **changes) -> ProvenState:
    block = state.light_block
    header = dataclasses.replace(block.header, **changes)
    return dataclasses.replace(state, light_block=dataclasses.replace(block, header=header))


def with_commit(state: ProvenState, **changes) -> ProvenState:
    block = state.light_block
    commit = dataclasses.replace(block.commit, **changes)
    return dataclasses.replace(state, light_block=dataclasses.replace(block, commit=commit))
