"""
The light client once more, in Python: what the native one must decide.

Source: cometbft light/verifier.go @ v0.40.0; `shared/rules/light_client.py` says what differs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shared.crypto.hashes import sha256
from shared.crypto.merkle import BadMerkleProof, verify_merkle_proof
from shared.crypto.signing import BadSignature, verify_raw
from shared.crypto.state_tree import BadStateProof, verify_state_proof
from shared.rules import state_keys
from shared.rules.headers import (
    header_hash,
    precommit_sign_bytes,
    validator_address,
    validators_hash,
)
from shared.rules.light_client import (
    BadCommitSignature,
    ConflictingHeader,
    OldHeight,
    OldIncarnation,
    OtherChain,
    RewindForbidden,
    TimeNotRising,
    TooLittlePower,
    UnprovenRewind,
    VerifiedState,
    WrongCommit,
    WrongStateRoot,
    WrongStateValues,
    WrongValidators,
)
from shared.rules.meta import NotMeta, decode_meta
from shared.types.identity import Height, Incarnation
from shared.types.methods import BlockMeta
from shared.types.proof import Commit, Header, LightBlock, MetaProof, ProvenState, Validator

_ONE_THIRD = (1, 3)
_TWO_THIRDS = (2, 3)


@dataclass(frozen=True, slots=True)
class _Trusted:
    height: int
    time_ns: int
    hash: bytes
    validators: tuple[Validator, ...]
    next_validators_hash: bytes
    incarnation: int = 0


class PythonLightClient:
    """Follows one chain. A step that fails changes nothing."""

    def __init__(
        self, chain_id: str, validators: Sequence[Validator], *, follows_rewinds: bool = False
    ) -> None:
        """Pin the chain and its first validators, and whether it can be rewound at all."""
        self._chain_id, self._follows_rewinds = chain_id, follows_rewinds
        self._first = _Trusted(0, 0, b"", tuple(validators), validators_hash(validators))
        self._trusted = self._first

    @property
    def height(self) -> Height:
        """Highest height that was verified; 0 before the first."""
        return Height(self._trusted.height)

    @property
    def incarnation(self) -> Incarnation:
        """Latest life of the chain that was seen."""
        return Incarnation(self._trusted.incarnation)

    @property
    def time_ns(self) -> int:
        """Time of that block [ns]."""
        return self._trusted.time_ns

    def verify(self, untrusted: ProvenState) -> VerifiedState:
        """
        Verify a header and values of the state after its block, and trust the header from now on.

        Raises
        ------
        Rejected
            One of the classes of this module, or `NumberOutOfRange`. Nothing changes.
        """
        header = untrusted.light_block.header
        meta = _read_meta(untrusted.meta)
        values = dict(untrusted.items)
        base = self._verify_life(meta.incarnation, values)
        trusted = self._verify_header(untrusted.light_block, base)
        _verify_meta(header, untrusted.meta)
        try:
            verify_state_proof(meta.state_root, untrusted.state_proof, untrusted.items)
        except BadStateProof as error:
            raise WrongStateValues(error.message) from None
        self._trusted = trusted
        return VerifiedState(meta.incarnation, header.height, header.time_ns, values)

    def _verify_life(self, incarnation: Incarnation, values: Mapping[bytes, object]) -> _Trusted:
        """Give what a block of a life of the chain is verified against."""
        known = self._trusted
        if incarnation < known.incarnation:
            raise OldIncarnation(f"incarnation {incarnation}, {known.incarnation} was seen already")
        if incarnation == known.incarnation:
            return known
        if not self._follows_rewinds:
            raise RewindForbidden("the network has no dev controls, so its chain only goes forward")
        if state_keys.INCARNATION not in values:
            raise UnprovenRewind(f"the proof does not tell where incarnation {incarnation} began")
        # Blocks that were trusted are void, and so is a validator set that only they knew.
        return replace(self._first, incarnation=incarnation)

    def _verify_header(self, untrusted: LightBlock, trusted: _Trusted) -> _Trusted:
        header = untrusted.header
        if header.chain_id != self._chain_id:
            raise OtherChain(f"chain {header.chain_id!r}, expected {self._chain_id!r}")
        if header.height < trusted.height:
            raise OldHeight(f"height {header.height}, {trusted.height} is trusted already")
        hash_ = header_hash(header)
        if header.height == trusted.height:
            if hash_ != trusted.hash:
                raise ConflictingHeader(f"two headers of height {header.height}")
            return trusted
        if header.time_ns <= trusted.time_ns:
            raise TimeNotRising(f"time {header.time_ns} ns follows {trusted.time_ns} ns")
        commit = untrusted.commit
        if commit.height != header.height or commit.block_id.hash != hash_:
            raise WrongCommit(f"the commit is not for the header of height {header.height}")
        if validators_hash(untrusted.validators) != header.validators_hash:
            raise WrongValidators("the header names other validators")
        if header.height == trusted.height + 1:
            if header.validators_hash != trusted.next_validators_hash:
                raise WrongValidators("the header before announced other validators")
        elif header.validators_hash != trusted.next_validators_hash:
            # Skipping to another set: a third of the trusted power must have signed, so that at
            # least one honest validator of the trusted set did.
            self._verify_power(commit, trusted.validators, _ONE_THIRD, ignore_strangers=True)
        self._verify_power(commit, untrusted.validators, _TWO_THIRDS)
        return _Trusted(
            header.height,
            header.time_ns,
            hash_,
            untrusted.validators,
            header.next_validators_hash,
            trusted.incarnation,
        )

    def _verify_power(
        self,
        commit: Commit,
        validators: Sequence[Validator],
        share: tuple[int, int],
        *,
        ignore_strangers: bool = False,
    ) -> None:
        """Verify that more than a share of a set's power signed."""
        by_address = {validator_address(v.public_key): v for v in validators}
        signed: set[bytes] = set()
        power = 0
        for entry in commit.signatures:
            validator = by_address.get(entry.validator_address)
            if validator is None:
                if ignore_strangers:
                    continue
                raise BadCommitSignature(f"{entry.validator_address.hex()} is no validator")
            if entry.validator_address in signed:
                raise BadCommitSignature(f"{entry.validator_address.hex()} signed twice")
            signed.add(entry.validator_address)
            message = precommit_sign_bytes(self._chain_id, commit, entry.time_ns)
            try:
                verify_raw(validator.public_key, message, entry.signature)
            except BadSignature as error:
                raise BadCommitSignature(error.message) from None
            power += validator.power
        total = sum(v.power for v in validators)
        numerator, denominator = share
        if power * denominator <= total * numerator:
            raise TooLittlePower(f"power {power} of {total}, needed over {numerator}/{denominator}")


def _read_meta(untrusted: MetaProof) -> BlockMeta:
    """Read what the last transaction of a block says; whether it is that is not verified yet."""
    try:
        return decode_meta(untrusted.transaction)
    except NotMeta as error:
        raise WrongStateRoot(error.message) from None


def _verify_meta(header: Header, untrusted: MetaProof) -> None:
    """Verify that the block ends with this transaction, which carries its state root."""
    try:
        verify_merkle_proof(
            header.data_hash,
            sha256(untrusted.transaction),
            index=untrusted.total - 1,
            total=untrusted.total,
            aunts=untrusted.aunts,
        )
    except BadMerkleProof as error:
        raise WrongStateRoot(error.message) from None
