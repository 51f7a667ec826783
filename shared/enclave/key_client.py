"""
Keys from the key manager: for calldata by epoch, for randomness by epoch, for storage by contract.

All are asked for over an attested session to a key manager's enclave, which the hosts relay. The
asker names the newest block that it has verified: an enclave whose host shows it an old chain gets
nothing.
"""

import threading
from dataclasses import dataclass, field
from typing import Any, Protocol

from shared.crypto.hashes import kmac256
from shared.crypto.secret import SecretBytes
from shared.encoding import cbor
from shared.encoding.values import to_wire
from shared.errors import PeerUnavailable, Unavailable
from shared.rules.key_ids import (
    OLDER_EPOCHS,
    epoch_random_key_id,
    key_pair_id,
    state_key_id,
    transaction_key_id,
)
from shared.tee.session_peers import SessionClient
from shared.types.identity import Epoch, RuntimeId
from shared.types.key_requests import (
    ChainView,
    EphemeralSecretMissing,
    EpochOutOfReach,
    KeyPair,
    decode_key_answer,
    encode_key_request,
)
from shared.types.keymanager import SignedPublicKey

FIRST_GENERATION = 0
"""Contract keys are of this generation for the whole life of a contract."""
ROUND_RANDOMNESS = b"qanat/random: root of a round (insecure mock)"


@dataclass(frozen=True, slots=True)
class EpochKeys:
    """What the key manager gives for one epoch."""

    epoch: Epoch
    call_secret: SecretBytes
    """X25519 secret to which clients encrypt calldata."""
    random_secret: SecretBytes
    """From which the randomness of every round of the epoch is derived."""
    public_key: SignedPublicKey
    """Public half of the call secret, as the key manager vouches for it."""


@dataclass(frozen=True, slots=True)
class RoundKeys:
    """What the execution of a round, or a query on it, needs."""

    call_secrets: dict[int, bytes] = field(repr=False)
    """X25519 secrets by epoch: the current one, and up to five older."""
    random_root: bytes = field(repr=False)
    """32 bytes, of this round alone."""
    call_data_public_key: bytes
    """CBOR of `{epoch, public_key}`, as contracts and clients ask for it."""


class ChainKnowledge(Protocol):
    """What the enclave has verified by now, as far as keys depend on it."""

    @property
    def chain_context(self) -> str:
        """Hash of the genesis document."""
        ...

    def key_view(self) -> ChainView:
        """
        Give the newest verified block, to show that the asker is not behind.

        Raises
        ------
        FreshnessUnproven
            This start of the enclave is not proven to be registered: all that it has seen of the
            chain may be old, and an enclave with an old view asks for no key.
        """
        ...

    def open_epochs(self) -> tuple[Epoch, ...]:
        """Earlier epochs of which there are keys, in the epoch that is proven."""
        ...


class KeyRing:
    """Fetches and keeps keys. Safe for threads."""

    def __init__(
        self,
        sessions: tuple[SessionClient, ...],
        runtime_id: RuntimeId,
        chain: ChainKnowledge,
    ) -> None:
        """
        Prepare; nothing is fetched yet.

        Each of the `sessions` is with another key manager, as far as the host can.
        """
        self._sessions, self._runtime_id, self._chain = sessions, runtime_id, chain
        self._answering = 0
        self._lock = threading.Lock()
        self._epochs: dict[int, EpochKeys] = {}
        self._older: dict[int, SecretBytes] = {}

    def state_key(self, name: bytes) -> bytes:
        """Storage key, 32 bytes, of a contract or whatever else a runtime names; it keeps it."""
        (pair,) = self._ask(
            "get_or_create_keys",
            runtime_id=self._runtime_id,
            key_pair_ids=(state_key_id(name),),
            generation=FIRST_GENERATION,
            view=self._chain.key_view(),
        )
        return bytes(pair.state_key)

    def long_term_pair(self, names: tuple[bytes, ...]) -> tuple[bytes, bytes]:
        """Long-term pair of these names: state key, X25519 secret. It is not kept."""
        (pair,) = self._ask(
            "get_or_create_keys",
            runtime_id=self._runtime_id,
            key_pair_ids=(key_pair_id(*names),),
            generation=FIRST_GENERATION,
            view=self._chain.key_view(),
        )
        return bytes(pair.state_key), bytes(pair.secret_key)

    def prepare(self, epoch: Epoch) -> EpochKeys:
        """Give the keys of an epoch, fetching them where they are not here yet."""
        keys = self._epochs.get(epoch)
        if keys is not None:
            return keys
        with self._lock:
            keys = self._epochs.get(epoch)
            if keys is None:
                keys = self._epochs[epoch] = self._fetch(epoch)
                for old in [e for e in self._epochs if e < epoch - OLDER_EPOCHS]:
                    del self._epochs[old]
            return keys

    def forget_after(self, epoch: int | None) -> None:
        """
        Forget the keys of later epochs: the chain was rewound, and gets other ones; or none.

        Sessions go as well: they were judged by what was proven in the life before.
        """
        for session in self._sessions:
            session.close()
        if epoch is None:
            return
        with self._lock:
            for void in [held for held in self._epochs if held > epoch]:
                del self._epochs[void]
            self._older.clear()

    def _fetch(self, epoch: Epoch) -> EpochKeys:
        call_id = transaction_key_id(self._runtime_id, self._chain.chain_context, epoch)
        call, random = self._ephemeral(epoch, call_id, epoch_random_key_id())
        public_key: SignedPublicKey = self._ask(
            "get_public_ephemeral_key",
            runtime_id=self._runtime_id,
            key_pair_id=call_id,
            epoch=epoch,
        )
        return EpochKeys(
            epoch, SecretBytes(call.secret_key), SecretBytes(random.state_key), public_key
        )

    def _ephemeral(self, epoch: Epoch, *key_pair_ids: bytes) -> tuple[KeyPair, ...]:
        pairs: tuple[KeyPair, ...] = self._ask(
            "get_or_create_ephemeral_keys",
            runtime_id=self._runtime_id,
            key_pair_ids=key_pair_ids,
            epoch=epoch,
            view=self._chain.key_view(),
        )
        return pairs

    def round_keys(self, epoch: Epoch, parent_hash: bytes) -> RoundKeys:
        """Give the keys of the round that follows the block with this hash."""
        current = self.prepare(epoch)
        secrets = {int(epoch): current.call_secret.reveal()}
        for back in range(1, OLDER_EPOCHS + 1):
            older = self._older_secret(epoch, Epoch(epoch - back))
            if older is not None:
                secrets[epoch - back] = older.reveal()
        root = kmac256(current.random_secret.reveal(), parent_hash, ROUND_RANDOMNESS)
        return RoundKeys(
            call_secrets=secrets,
            random_root=root,
            call_data_public_key=cbor.encode(
                {"epoch": epoch, "public_key": to_wire(SignedPublicKey, current.public_key)}
            ),
        )

    def _older_secret(self, now: Epoch, epoch: Epoch) -> SecretBytes | None:
        """
        Call secret of an earlier epoch; None where consensus says that the epoch is not open.

        Only consensus says so, and it says the same to all nodes: one that lacks the key of an open
        epoch must get it, or has no result. One that still has a key of another epoch does not use
        it.
        """
        if epoch not in self._chain.open_epochs():
            return None
        keys = self._epochs.get(epoch)
        secret = self._older.get(epoch) if keys is None else keys.call_secret
        if secret is not None:
            return secret
        with self._lock:
            if epoch not in self._older:
                call_id = transaction_key_id(self._runtime_id, self._chain.chain_context, epoch)
                try:
                    (pair,) = self._ephemeral(epoch, call_id)
                except EpochOutOfReach as error:
                    # The key manager is an epoch ahead of us.
                    raise EphemeralSecretMissing(error.message) from error
                self._older[epoch] = SecretBytes(pair.secret_key)
                for old in [e for e in self._older if e < now - OLDER_EPOCHS]:
                    del self._older[old]
            return self._older[epoch]

    def _ask(self, method: str, **arguments: Any) -> Any:
        """Ask one key manager, and the others where it cannot be reached or lacks something."""
        request = encode_key_request(method, **arguments)
        first, count = self._answering, len(self._sessions)
        for number in range(first, first + count):
            session = self._sessions[number % count]
            try:
                answer = decode_key_answer(method, session.ask(request))
            except Unavailable as error:
                if isinstance(error, PeerUnavailable):
                    # For another session the host chooses another key manager.
                    session.close()
                if number == first + count - 1:
                    raise
                continue
            self._answering = number % count
            return answer
        raise PeerUnavailable("there is no session with a key manager")
