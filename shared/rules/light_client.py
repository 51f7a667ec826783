"""
The light client: how an enclave learns consensus state from a host it does not trust.

It starts from the validators that the enclave's measured configuration pins, and follows signed
headers upward. Source: cometbft light/verifier.go @ v0.40.0. Differs: the first set is trusted
without end (an enclave has no clock of its own, and the set is part of its measurement), so there
is no trusting period and no clock drift; instead time must rise with height.

Each block says in which life of the chain it was made (ADR 0014). Heights rise within one life.
Only a later life may lead to a lower height, and only where the enclave's measured configuration
says that the chain can be rewound; no word of the host does that.

Native (`crates/consensus-core`), from the bytes of the proof: every enclave does it for each block.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import evm_native

from shared.encoding.cbor import MalformedCbor
from shared.encoding.protobuf import NumberOutOfRange
from shared.encoding.record import MalformedRecord, encode_record
from shared.errors import Rejected
from shared.types.identity import Height, Incarnation
from shared.types.proof import ProvenBytes, ProvenState, Validator


class OtherChain(Rejected, module="light_client", code=1):
    """The header is of another chain."""


class OldHeight(Rejected, module="light_client", code=2):
    """A higher block is trusted already; heights only rise."""


class TimeNotRising(Rejected, module="light_client", code=3):
    """A later block carries an earlier time, or an earlier block a later one."""


class WrongCommit(Rejected, module="light_client", code=4):
    """The commit is for another block than the header."""


class WrongValidators(Rejected, module="light_client", code=5):
    """The validators are not those that the header, or the trusted header before it, names."""


class TooLittlePower(Rejected, module="light_client", code=6):
    """The signatures do not carry enough voting power."""


class BadCommitSignature(Rejected, module="light_client", code=7):
    """A signature of the commit is wrong, by a stranger, or there twice."""


class WrongStateRoot(Rejected, module="light_client", code=8):
    """The block's last transaction is not shown, or carries no state root."""


class WrongStateValues(Rejected, module="light_client", code=9):
    """The values are not shown under the block's state root."""


class ConflictingHeader(Rejected, module="light_client", code=10):
    """It is another header than the one that is trusted at its height."""


class RewindForbidden(Rejected, module="light_client", code=11):
    """The chain was rewound, and this network has no dev controls that could do it."""


class OldIncarnation(Rejected, module="light_client", code=12):
    """The block is of an earlier life of the chain than one that is trusted already: it is void."""


class UnprovenRewind(Rejected, module="light_client", code=13):
    """The block is of a later life of the chain, and the proof does not show what that voids."""


@dataclass(frozen=True, slots=True)
class VerifiedState:
    """Consensus state that is proven."""

    incarnation: Incarnation
    """Life of the chain in which the block was made."""
    height: Height
    time_ns: int
    """Time of the block [ns]."""
    values: Mapping[bytes, bytes | None]
    """By key; None where the key is proven absent."""


_REFUSALS: dict[str, type[Rejected]] = {
    refusal.__name__: refusal
    for refusal in (
        BadCommitSignature,
        ConflictingHeader,
        MalformedCbor,
        MalformedRecord,
        NumberOutOfRange,
        OldHeight,
        OldIncarnation,
        OtherChain,
        RewindForbidden,
        TimeNotRising,
        TooLittlePower,
        UnprovenRewind,
        WrongCommit,
        WrongStateRoot,
        WrongStateValues,
        WrongValidators,
    )
}


def _refusal(error: evm_native.LightClientError) -> Rejected:
    return _REFUSALS[error.kind](str(error))


class LightClient:
    """Follows one chain. A step that fails changes nothing."""

    def __init__(
        self, chain_id: str, validators: Sequence[Validator], *, follows_rewinds: bool = False
    ) -> None:
        """
        Pin the chain and its first validators, and whether it can be rewound at all.

        Raises
        ------
        NumberOutOfRange
            A power has no 64-bit encoding.
        """
        try:
            self._native = evm_native.LightClient(
                chain_id, validators, follows_rewinds=follows_rewinds
            )
        except evm_native.LightClientError as error:
            raise _refusal(error) from None

    @property
    def height(self) -> Height:
        """Highest height that was verified; 0 before the first."""
        return Height(self._native.height)

    @property
    def incarnation(self) -> Incarnation:
        """Latest life of the chain that was seen."""
        return Incarnation(self._native.incarnation)

    @property
    def time_ns(self) -> int:
        """Time of that block [ns]."""
        return self._native.time_ns

    def verify(self, untrusted: ProvenState) -> VerifiedState:
        """Verify what was decoded already, as `verify_encoded` does."""
        try:
            encoded = encode_record(untrusted)
        except ValueError as error:
            raise NumberOutOfRange(str(error)) from None
        return self.verify_encoded(ProvenBytes(encoded))

    def verify_encoded(self, untrusted: ProvenBytes) -> VerifiedState:
        """
        Verify a header and values of the state after its block, and trust the header from now on.

        Raises
        ------
        Rejected
            One of the classes of this module, `NumberOutOfRange`, or `MalformedCbor` and
            `MalformedRecord` where it is no proof at all. Nothing changes.
        """
        try:
            incarnation, height, time_ns, values = self._native.verify(untrusted)
        except evm_native.LightClientError as error:
            raise _refusal(error) from None
        return VerifiedState(Incarnation(incarnation), Height(height), time_ns, values)
