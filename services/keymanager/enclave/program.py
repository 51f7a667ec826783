"""
The program that runs in the key manager's enclave.

It believes nothing of its host but proven consensus state, and of consensus nothing but what it has
to: the policy must carry its signers' signatures, secrets must fit the checksum chain, and new
secrets go only to enclaves whose quotes it verified itself.
"""

from services.keymanager.enclave.committee import attested_reks, quote_policy
from services.keymanager.enclave.derivation import SECRET_BYTES, checksum_ephemeral_secret
from services.keymanager.enclave.ephemeral import EphemeralSecrets
from services.keymanager.enclave.files import DirectoryFiles, Files
from services.keymanager.enclave.following import SecretFollower
from services.keymanager.enclave.master import MasterSecrets
from services.keymanager.enclave.policy import Permissions
from services.keymanager.enclave.policy_record import PolicyRecord
from services.keymanager.enclave.protocol import (
    EnclaveDescription,
    EnclaveState,
    KeyManagerHostApi,
)
from services.keymanager.enclave.publication import (
    associated_data,
    decrypt_secret,
    encrypt_secret,
)
from services.keymanager.enclave.release import KeyRelease, answer_request
from services.keymanager.enclave.replication import Replication
from services.keymanager.enclave.vault import ChainPosition, Vault
from services.keymanager.rules.proven_chain import (
    KeyManagerChain,
    next_generation,
    read_chain,
)
from shared.crypto.entropy import SeededEntropy
from shared.crypto.secret import SecretBytes
from shared.enclave.program import ChainUnknown, EnclaveProgram, VerifiedState
from shared.encoding.record import encode_record
from shared.errors import Rejected
from shared.rules.incarnations import last_shared_secret, read_incarnation
from shared.rules.key_policy import VerifiedPolicy
from shared.tee.quote import parse_quote
from shared.tee.runtime import EnclaveContext
from shared.tee.session_evidence import PeerIdentity, PeerPolicy, SessionIdentity
from shared.tee.session_peers import SessionClient, SessionServer
from shared.tee.transport import sync_client_of
from shared.types.attestation import EnclaveIdentity
from shared.types.identity import Epoch, Incarnation, NodeId, RuntimeId
from shared.types.keymanager import (
    ENCRYPTED_SECRET,
    INIT_RESPONSE,
    EncryptedSecret,
    InitResponse,
    PublishedSecret,
    SignedInitResponse,
    SignedPublicKey,
    SignedPublishedSecret,
)
from shared.types.proof import ProvenState


class EpochNotNow(Rejected, module="keys", code=53):
    """Ephemeral secrets are made for the current epoch and the next only."""


class KeyManagerProgram(EnclaveProgram):
    """Answers `KeyManagerEnclaveApi`."""

    def __init__(self, context: EnclaveContext, files: Files | None = None) -> None:
        config = self.config = context.config
        super().__init__(context)
        files = files or DirectoryFiles(context.directory)
        self._identity = parse_quote(self.quoted().quote).identity
        self._policy = PolicyRecord(config, self.sealer, files)
        self._vault = Vault(
            config.runtime_id,
            MasterSecrets(config.runtime_id, self.sealer, files),
            EphemeralSecrets(config.runtime_id),
        )
        self._secrets = SecretFollower(self._vault, self._decrypt)
        self._shared_seed = context.shared_seed
        self._chain: KeyManagerChain | None = None
        self._policy_refusal = ""
        self._host = sync_client_of(KeyManagerHostApi, context.host)
        self._sessions = SessionServer(
            self._session_identity,
            lambda: self._whom(self._vault.permissions.customers()),
            self.entropy,
        )

    def describe(self) -> EnclaveDescription:
        """Which enclave this is."""
        return EnclaveDescription(
            runtime_id=self.config.runtime_id,
            version=self.config.version,
            identity=self._identity,
            rak=self.rak.public_key,
            family=self.family,
        )

    # -- following the chain -------------------------------------------------------------------

    def synchronize(self, proven: ProvenState) -> EnclaveState:
        """
        Verify a block and follow it.

        Raises
        ------
        Rejected
            The light client or the proof is refused, or the policy and there is none that was
            followed before; secrets stay as they were.
        """
        verified = self.observe(proven)
        chain = read_chain(verified.values, self.config.runtime_id)
        # First of all: an old policy must not be asked with an old clock.
        self._vault.position = ChainPosition(
            verified.height, verified.time_ns, chain.epoch, verified.incarnation
        )
        self._chain = chain
        self._vault.permissions = Permissions(
            self._follow_policy(verified, chain).body, self._identity
        )
        self._secrets.follow(chain)
        if self.registered is not None:
            self._vault.is_fresh = True
            if self.registered.rek is not None:
                # Last of all: what was encrypted to older keys has been opened by now.
                self.reks.forget_before(self.registered.rek)
        return self._state()

    def _follow_policy(self, verified: VerifiedState, chain: KeyManagerChain) -> VerifiedPolicy:
        try:
            policy = self._policy.follow(chain.status.policy, verified.incarnation)
        except Rejected as refusal:
            if self._policy.followed is None:
                raise
            # Whoever got such a policy into consensus must not stop those who follow a good one.
            self._policy_refusal = refusal.message
            return self._policy.followed
        self._policy_refusal = ""
        return policy

    def enter_incarnation(self, verified: VerifiedState, known: Incarnation) -> None:
        """
        Drop the secrets of epochs that are void, and keep the others.

        A restart would do the same and lose them all.
        """
        life = read_incarnation(verified.values)
        shared = last_shared_secret(life, known, self.config.runtime_id)
        if shared is not None:
            self._vault.ephemeral.forget_after(shared)
        # They were judged by time, policy and registry of the life before.
        self._sessions.forget_all()
        self._vault.is_fresh = False

    def _decrypt(self, published: PublishedSecret) -> SecretBytes | None:
        return decrypt_secret(published, reks=self.reks.held(), exchange=self.reks.exchange)

    # -- telling the host ----------------------------------------------------------------------

    def _state(self) -> EnclaveState:
        chain, vault = self._known_chain, self._vault
        return EnclaveState(
            incarnation=self.latest.incarnation,
            height=vault.position.height,
            epoch=chain.epoch,
            init_response=None if self._lacks_master(chain) else self._init_response(),
            generations=vault.master.generations,
            ephemeral_epochs=tuple(Epoch(epoch) for epoch in vault.ephemeral.epochs()),
            lacks_master=self._lacks_master(chain),
            lacks_ephemeral=bool(vault.lacks(chain)),
            is_fresh=vault.is_fresh,
            policy_refusal=self._policy_refusal,
        )

    def _lacks_master(self, chain: KeyManagerChain) -> bool:
        return chain.status.is_initialized and self._vault.master.generations == 0

    def _init_response(self) -> SignedInitResponse | None:
        master, policy = self._vault.master, self._policy.followed
        if policy is None:
            return None
        proposed = master.proposal_signer()
        response = InitResponse(
            is_secure=False,
            checksum=master.checksum,
            policy_checksum=policy.checksum,
            rsk=master.newest().signer.public_key if master.generations else None,
            next_checksum=b"" if master.proposal is None else master.proposal.link.checksum,
            next_rsk=None if proposed is None else proposed.public_key,
            ephemeral_epochs=tuple(Epoch(epoch) for epoch in self._vault.ephemeral.epochs()),
        )
        context = INIT_RESPONSE.for_chain(self.chain_context)
        return SignedInitResponse(response, self.rak.sign(context, encode_record(response)))

    @property
    def _known_chain(self) -> KeyManagerChain:
        if self._chain is None:
            raise ChainUnknown("no proven consensus state has been shown to the enclave")
        return self._chain

    # -- making secrets ------------------------------------------------------------------------

    def generate_master_secret(self) -> SignedPublishedSecret:
        """
        Draw a secret for the next generation. It counts only once consensus has accepted it.

        Raises
        ------
        NotInCommittee, WrongGeneration
            Our REK is not registered, or the generations before are not here.
        """
        chain = self._known_chain
        generation = next_generation(chain.status)
        secret = self._draw(f"master secret {generation}")
        checksum = self._vault.master.next_checksum(secret, generation)
        return self._publish(secret, checksum, Epoch(chain.epoch + 1), generation)

    def generate_ephemeral_secret(self, epoch: Epoch) -> SignedPublishedSecret:
        """
        Draw a secret for this epoch or the next. It counts only once consensus has taken it.

        Raises
        ------
        EpochNotNow, NotInCommittee
            See each class.
        """
        chain = self._known_chain
        if epoch not in (chain.epoch, chain.epoch + 1):
            raise EpochNotNow(f"epoch {epoch} is neither {chain.epoch} nor the next")
        secret = self._draw(f"ephemeral secret {epoch}")
        checksum = checksum_ephemeral_secret(secret, self.config.runtime_id, epoch)
        return self._publish(secret, checksum, epoch, None)

    def _draw(self, label: str) -> SecretBytes:
        """Draw a secret: in a network that replays the same, whichever member is first."""
        entropy = self.entropy
        if self._shared_seed is not None:
            entropy, label = (
                SeededEntropy(self._shared_seed),
                f"{self.config.runtime_id.hex()} {label}",
            )
        return SecretBytes(entropy.draw(label, SECRET_BYTES))

    def _publish(
        self, secret: SecretBytes, checksum: bytes, epoch: Epoch, generation: int | None
    ) -> SignedPublishedSecret:
        published = PublishedSecret(
            self.config.runtime_id,
            epoch,
            self._encrypt(secret, checksum, epoch, generation),
            generation,
        )
        context = ENCRYPTED_SECRET.for_chain(self.chain_context)
        return SignedPublishedSecret(published, self.rak.sign(context, encode_record(published)))

    def _encrypt(
        self, secret: SecretBytes, checksum: bytes, epoch: int, generation: int | None
    ) -> EncryptedSecret:
        reks = attested_reks(
            self._known_chain,
            own_reks=self.reks.held(),
            heirs=self._vault.permissions.heirs(),
            root_ca_hash=self.config.root_ca_hash,
            now_s=self.now_s,
            height=self._vault.position.height,
        )
        return encrypt_secret(
            secret,
            checksum=checksum,
            bound_to=associated_data(self.config.runtime_id, epoch, generation),
            reks=reks,
            entropy=self.entropy,
        )

    # -- sessions ------------------------------------------------------------------------------

    def call_session(self, session_id: bytes, message: bytes) -> bytes:
        """Answer one message of an attested session; what may be released is decided each time."""
        return self._sessions.call(session_id, message, self._answer)

    def _answer(self, peer: PeerIdentity, plaintext: bytes) -> bytes:
        return answer_request(KeyRelease(self._vault, peer.enclave), plaintext)

    def replicate(self, peer: NodeId) -> EnclaveState:
        """
        Ask another key manager, through the host, for what is lacking.

        Raises
        ------
        Unavailable
            It cannot be reached, or lacks the master secret too.
        Rejected
            It is not an enclave to take secrets from, refuses us, or has other secrets.
        """
        chain = self._known_chain
        session = SessionClient(
            lambda session_id, message: self._host.call_key_manager(peer, session_id, message),
            self._session_identity,
            lambda: self._whom(self._vault.permissions.sources()),
            self.entropy,
        )
        replication = Replication(self._vault, chain, session.ask)
        if self._lacks_master(chain):
            replication.replicate_master()
            self._secrets.follow_proposal(chain)
        replication.replicate_ephemeral()
        return self._state()

    def _session_identity(self) -> SessionIdentity:
        return SessionIdentity(self.rak, self.quoted())

    def _whom(self, enclaves: tuple[EnclaveIdentity, ...]) -> PeerPolicy:
        return PeerPolicy(
            root_ca_hash=self.config.root_ca_hash,
            quote_policy=quote_policy(self._known_chain),
            now_s=self.now_s,
            enclaves=enclaves,
            editions=self.required_editions(self._known_chain.epoch),
        )

    # -- public keys ---------------------------------------------------------------------------

    def fetch_public_key(self, runtime_id: RuntimeId, key_pair_id: bytes) -> SignedPublicKey:
        """Vouch for a long-term public key; anybody may have it."""
        return self._vault.public_key(runtime_id, key_pair_id)

    def fetch_ephemeral_public_key(
        self, runtime_id: RuntimeId, key_pair_id: bytes, epoch: Epoch
    ) -> SignedPublicKey:
        """Vouch for the public key of an epoch; anybody may have it."""
        return self._vault.ephemeral_public_key(runtime_id, key_pair_id, epoch)
