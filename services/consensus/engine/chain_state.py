"""
What an engine knows between two blocks, and how the next header follows from it.

Source: cometbft state/state.go and state/execution.go @ v0.40.0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from services.consensus.abci import Block, BlockResult, Misbehavior, ValidatorPower, Vote
from shared.crypto.signing import Signer
from shared.encoding import protobuf
from shared.rules import headers
from shared.types.identity import Height
from shared.types.proof import BlockId, Commit, CommitSignature, Header, LightBlock, Validator

APP_VERSION = 1
"""Version of the application's rules; stands in every header."""


@dataclass(frozen=True, slots=True)
class Chain:
    """State of a chain after a block, or before the first."""

    chain_id: str
    height: int
    """Of the newest block; one below the first before it."""
    time_ns: int
    last: LightBlock | None
    """The newest block; None before the first."""
    validators: tuple[Validator, ...]
    """Who signs the next block."""
    next_validators: tuple[Validator, ...]
    """Who signs the one after that."""
    app_hash: bytes
    last_results_hash: bytes
    max_block_bytes: int

    def build_header(
        self,
        time_ns: int,
        transactions: Sequence[bytes],
        misbehavior: Sequence[Misbehavior],
        proposer: bytes,
    ) -> Header:
        """Header of the next block."""
        last = self.last
        return Header(
            version_block=headers.BLOCK_VERSION,
            version_app=APP_VERSION,
            chain_id=self.chain_id,
            height=Height(self.height + 1),
            time_ns=time_ns,
            last_block_id=BlockId(b"") if last is None else last.commit.block_id,
            last_commit_hash=headers.commit_hash(() if last is None else last.commit.signatures),
            data_hash=headers.data_hash(transactions),
            validators_hash=headers.validators_hash(self.validators),
            next_validators_hash=headers.validators_hash(self.next_validators),
            consensus_hash=headers.consensus_hash(self.max_block_bytes, NO_GAS_LIMIT),
            app_hash=self.app_hash,
            last_results_hash=self.last_results_hash,
            evidence_hash=headers.evidence_hash(map(encode_misbehavior, misbehavior)),
            proposer_address=proposer,
        )

    def after(
        self, block: LightBlock, result: BlockResult, updates: Iterable[ValidatorPower]
    ) -> "Chain":
        """State after the next block; those of its updates that apply sign two heights later."""
        return replace(
            self,
            height=block.header.height,
            time_ns=block.header.time_ns,
            last=block,
            validators=self.next_validators,
            next_validators=with_updates(self.next_validators, updates),
            app_hash=result.app_hash,
            last_results_hash=results_hash(result),
        )


NO_GAS_LIMIT = -1
"""Gas is the application's matter. Source: cometbft types/params.go, default of max_gas."""


def with_updates(
    validators: Sequence[Validator], updates: Iterable[ValidatorPower]
) -> tuple[Validator, ...]:
    """Validator set after updates; power 0 removes."""
    powers = {validator.public_key: validator.power for validator in validators}
    powers |= {update.public_key: update.power for update in updates}
    return headers.in_order(Validator(key, power) for key, power in powers.items() if power)


def results_hash(result: BlockResult) -> bytes:
    """Hash of a block's results, for the next header."""
    return headers.results_hash(
        headers.HashedResult(r.code, r.data, r.gas_wanted, r.gas_used) for r in result.tx_results
    )


def sign_block(
    signer: Signer,
    header: Header,
    validators: tuple[Validator, ...],
    transactions: Sequence[bytes],
    misbehavior: Sequence[Misbehavior],
    last_commit: Commit | None,
) -> LightBlock:
    """
    Make a block final by the one signature that carries all the power.

    The vote's time is the block's, so that equal inputs give equal commits.
    """
    evidence = [encode_misbehavior(item) for item in misbehavior]
    name = headers.block_id(header, transactions, evidence, last_commit)
    unsigned = Commit(header.height, 0, name, ())
    message = headers.precommit_sign_bytes(header.chain_id, unsigned, header.time_ns)
    vote = CommitSignature(header.proposer_address, header.time_ns, signer.sign_raw(message))
    return LightBlock(header, replace(unsigned, signatures=(vote,)), validators)


def block_to_execute(
    block: LightBlock,
    transactions: tuple[bytes, ...],
    misbehavior: tuple[Misbehavior, ...],
    previous: LightBlock | None,
) -> Block:
    """A decided block as the application sees it; the same at a replay."""
    header = block.header
    return Block(
        height=header.height,
        time_ns=header.time_ns,
        txs=transactions,
        proposer=header.proposer_address,
        last_votes=last_votes(previous),
        misbehavior=misbehavior,
        hash=block.commit.block_id.hash,
        next_validators_hash=header.next_validators_hash,
    )


def last_votes(previous: LightBlock | None) -> tuple[Vote, ...]:
    """Who of the validators signed the previous block."""
    if previous is None:
        return ()
    signed = {signature.validator_address for signature in previous.commit.signatures}
    addresses = [(headers.validator_address(v.public_key), v.power) for v in previous.validators]
    return tuple(Vote(address, power, address in signed) for address, power in addresses)


def encode_misbehavior(item: Misbehavior) -> bytes:
    """
    `tendermint.abci.Misbehavior`, which stands for evidence in the blocks of `solo`.

    A single validator has nobody to prove its double vote to, so there is no evidence of
    CometBFT's own form.
    """
    validator = protobuf.data(1, item.address) + protobuf.integer(3, item.total_power)
    return (
        protobuf.integer(1, item.kind)
        + protobuf.message(2, validator)
        + protobuf.integer(3, item.height)
        + protobuf.message(4, protobuf.timestamp(item.time_ns))
        + protobuf.integer(5, item.total_power)
    )
