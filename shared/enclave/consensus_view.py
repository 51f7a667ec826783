"""
What consensus held when a round became final, for who executes the next one.

Two enclaves that execute one round may have seen different heights, so nothing they have seen by
themselves decides. They read the state after the very block that made the parent final: consensus
writes that height beside the roots of the round. Values come through the host, each with a proof
from the validators that the measured configuration pins.
"""

from collections.abc import Callable
from dataclasses import dataclass

from shared.enclave.errors import ConsensusUnproven
from shared.enclave.program import LightClient, VerifiedState
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.rules.incarnations import last_shared_height
from shared.types.block import RoundRoots
from shared.types.identity import Round, RuntimeId
from shared.types.incarnation import IncarnationState
from shared.types.proof import ProvenState
from shared.types.staking import Account, SharePool

MAX_REMEMBERED = 1_024
"""Values of one state that are kept: of more than that, each is asked for again."""
FetchRoundState = Callable[[RuntimeId, Round, tuple[bytes, ...]], ProvenState]
"""See `shared.api.consensus.ConsensusApi.fetch_round_state`."""
Pool = tuple[int, int]
"""Balance [base units of consensus] and shares."""


@dataclass(frozen=True, slots=True)
class ConsensusReader:
    """Makes views; holds what they all need."""

    runtime_id: RuntimeId
    new_light_client: Callable[[], LightClient]
    """Makes one that stands at the pinned validators."""
    fetch: FetchRoundState
    """Asks the host."""

    def after(self, round_: Round, life: IncarnationState) -> "ConsensusView":
        """View consensus as it stood when a round became final, in a life of the chain."""
        return ConsensusView(self, round_, life)


class ConsensusView:
    """
    One state of consensus. Safe for threads; two may ask for the same value at once.

    Every method raises `ConsensusUnproven` where the host does not prove what is asked.
    """

    def __init__(self, reader: ConsensusReader, round_: Round, life: IncarnationState) -> None:
        self._reader, self._round, self._life = reader, round_, life
        self._values: dict[bytes, bytes | None] = {}
        self._client: LightClient | None = None
        """Stands at the block of this state, so that its signatures are verified once."""

    def account(self, address: bytes) -> Account:
        """Account of the staking ledger; an empty one where there is none."""
        raw = self._read(state_keys.account_key(address))
        return Account() if raw is None else decode_record(Account, raw)

    def escrow(self, address: bytes) -> tuple[Pool, Pool]:
        """Stake in an account, active and debonding; zeros where there is no such account."""
        account = self.account(address)
        return _pool(account.active), _pool(account.debonding)

    def round_roots(self, runtime_id: bytes, round_: int) -> tuple[bytes, bytes] | None:
        """
        State root and I/O root of a round of any ParaTime.

        None where consensus knows neither: the round is not final yet, or no longer kept
        (`RoothashParameters.max_past_roots_stored`), or the ParaTime is unknown.
        """
        raw = self._read(state_keys.past_roots_key(runtime_id, round_))
        roots = None if raw is None else decode_record(RoundRoots, raw)
        return None if roots is None else (roots.state_root, roots.io_root)

    def _read(self, key: bytes) -> bytes | None:
        if key in self._values:
            return self._values[key]
        try:
            value = self._verified(key)
        except Rejected as error:
            raise ConsensusUnproven(error.message) from error
        if len(self._values) < MAX_REMEMBERED:
            self._values[key] = value
        return value

    def _verified(self, key: bytes) -> bytes | None:
        reader = self._reader
        own = state_keys.past_roots_key(reader.runtime_id, self._round)
        # The life is proven to a light client that begins anew.
        keys = tuple(dict.fromkeys((own, state_keys.INCARNATION, key)))
        proven = reader.fetch(reader.runtime_id, self._round, keys)
        # One that was shown another block stands there, and is of no more use.
        client, self._client = self._client or reader.new_light_client(), None
        verified = client.verify(proven)
        self._verify_place(verified, verified.values.get(own))
        self._client = client
        if key not in verified.values:
            raise ConsensusUnproven("the proof leaves out what was asked for")
        return verified.values[key]

    def _verify_place(self, verified: VerifiedState, roots: bytes | None) -> None:
        """Verify that it is the one state that every enclave reads."""
        if verified.incarnation > self._life.incarnation:
            raise ConsensusUnproven("the proof is of a later life of the chain")
        shared = last_shared_height(self._life, verified.incarnation)
        if shared is not None and verified.height > shared:
            raise ConsensusUnproven(f"height {verified.height} of that life of the chain is void")
        if roots is None or decode_record(RoundRoots, roots).height != verified.height:
            raise ConsensusUnproven(
                f"round {self._round} became final at another height than {verified.height}"
            )


def _pool(pool: SharePool) -> Pool:
    return pool.balance, pool.total_shares
