"""
The enclave of one instance of an app.

It registers with the chain by keys that are drawn at its start, gets the app's root key in answers
that only it can open, and lets the app run with a daemon that serves these keys. What it must
believe it verifies: consensus by the light client, the key to which it encrypts by the key
manager's signature, and that it is registered by the answer itself, which the chain gives to
registered instances only.
"""

from typing import Any

from services.worker.appd.instance import AppInstance
from services.worker.appd.metadata import NAMESPACE
from services.worker.appd.rofl_keys import ROOT_KEY_ID
from services.worker.enclave.app import App
from services.worker.enclave.chain_keys import ChainKeys
from services.worker.enclave.daemon import Daemon
from services.worker.enclave.errors import KeyChanged, NoKeys, NotAsked, OtherApp
from services.worker.enclave.network import Network
from services.worker.enclave.protocol import (
    CallKey,
    EnclaveDescription,
    EnclaveState,
    FeeTerms,
    WorkerHostApi,
)
from services.worker.enclave.secrets import open_secrets, read_secrets
from services.worker.rules.bundle import bundle_hash, decode_bundle
from shared.crypto.hashes import sha256
from shared.crypto.signing import Signature
from shared.enclave.program import ChainUnknown, EnclaveProgram, VerifiedState
from shared.encoding.record import decode_record
from shared.encoding.values import to_wire
from shared.errors import Rejected
from shared.rules import state_keys
from shared.rules.sealed_calls import Sealed, open_result, seal_call
from shared.rules.transaction_keys import Ed25519Key, EthereumKey, sign_transaction
from shared.tee.platform import DomainApi
from shared.tee.quote import TdReport, parse_quote
from shared.tee.runtime import EnclaveContext
from shared.tee.transport import sync_client_of
from shared.types.attestation import CapabilityTee
from shared.types.beacon import EpochState
from shared.types.block import BlockHeader
from shared.types.identity import Epoch, Incarnation, NodeId
from shared.types.proof import ProvenState
from shared.types.sdk_transaction import Call, signature_context

GAS = 1_000_000
"""Most that a transaction of the enclave's own may use; a registration takes some 200,000."""
MAX_EPOCHS = 2
"""How far beyond the current epoch it registers, as upstream's apps."""
ENTROPY, X25519 = 0, 1
"""Kinds of keys that the chain derives."""
SEK_ID = b"oasis-runtime-sdk/rofl: secrets encryption key v1"
KEY_BYTES = 32


class WorkerProgram(EnclaveProgram):
    """Answers `WorkerEnclaveApi`."""

    def __init__(self, context: EnclaveContext, app: App, daemon: Daemon) -> None:
        """Begin with fresh keys; the program of the bundle is unpacked, and does not run yet."""
        super().__init__(context)
        if context.cpu is None or context.config.key_manager is None:
            raise Rejected("this is no enclave of an app")
        self._cpu = sync_client_of(DomainApi, context.cpu)
        self._raw_bundle = self._cpu.bundle()
        self._bundle = decode_bundle(self._raw_bundle)
        self._app, self._daemon = app, daemon
        app.unpack(self._bundle)
        self._rak_key = Ed25519Key(self.rak)
        self._signer = EthereumKey(self.entropy.draw("transaction signer", KEY_BYTES))
        self._chain_keys = ChainKeys(context.config.runtime_id, context.config.key_manager)
        self._network = Network(
            sync_client_of(WorkerHostApi, context.host), self._signer, self, self._cpu
        )
        report = parse_quote(self.quoted().quote)
        assert isinstance(report, TdReport)  # noqa: S101 - the CPU quotes domains here
        self._report = report
        self._app_id: bytes | None = None
        self._node_id = b""
        self._capability: CapabilityTee | None = None
        self._asked: tuple[Sealed, Sealed] | None = None
        self._signed_until: Epoch | None = None
        self._expiration: Epoch | None = None
        self._instance: AppInstance | None = None

    # -- what the host asks --------------------------------------------------------------------

    def describe(self) -> EnclaveDescription:
        """Which enclave this is."""
        assert self.config.key_manager is not None  # noqa: S101 - verified at the start
        return EnclaveDescription(
            runtime_id=self.config.runtime_id,
            identity=self._report.identity,
            rak=self.rak.public_key,
            signer=self._signer.public_key,
            addresses=(self._rak_key.address, self._signer.address),
            key_manager=self.config.key_manager,
        )

    def synchronize(self, proven: ProvenState) -> EnclaveState:
        """Verify a block; an app whose registration has ended is ended, and its keys dropped."""
        verified = self.observe(proven)
        self._chain_keys.follow(verified.values)
        if self._expiration is not None and self.epoch > self._expiration:
            self.halt()
        return self.fetch_state()

    def attest(self, node_id: NodeId) -> CapabilityTee:
        """Attest the enclave's keys for a node, at the height it has verified."""
        self._capability = super().attest(node_id)
        self._node_id = node_id
        return self._capability

    def sign_registration(
        self,
        app_id: bytes,
        epochs: int,
        endorsement: Signature,
        proof: bytes,
        terms: FeeTerms,
    ) -> bytes:
        """Sign the registration of this start of the enclave."""
        if self._app_id not in (None, app_id):
            raise OtherApp("this enclave has registered for another app")
        if self._capability is None:
            raise NotAsked("the enclave has not attested itself yet")
        self._app_id = app_id
        expiration = Epoch(self.epoch + max(1, min(epochs, MAX_EPOCHS)))
        pairs = {} if self._instance is None else self._instance.metadata.pairs
        body = {
            "app": app_id,
            "ect": {
                "capability_tee": to_wire(CapabilityTee, self._capability),
                "node_endorsement": to_wire(Signature, endorsement),
            },
            "expiration": expiration,
            "extra_keys": [{"secp256k1": self._signer.public_key}],
            "metadata": {NAMESPACE + key: value for key, value in pairs.items()},
            "proof": proof,
        }
        signers = ((self._rak_key, terms.nonces[0]), (self._signer, terms.nonces[1]))
        self._signed_until = expiration
        return sign_transaction(
            Call(body, "rofl.Register"),
            signers,
            context=self.sdk_context,
            gas=GAS,
            gas_price=terms.gas_price,
            proxy=app_id,
        )

    def sign_derivations(self, terms: FeeTerms, key: CallKey) -> tuple[bytes, bytes]:
        """Ask for the root key of the app and the key of its secrets, in this order of nonces."""
        app_id = self._registered_app()

        def ask(kind: int, key_id: bytes) -> Sealed:
            body = {"app": app_id, "kind": kind, "generation": 0, "key_id": key_id}
            return self.seal(Call(body, "rofl.DeriveKey"), key)

        self._asked = calls = (ask(ENTROPY, ROOT_KEY_ID), ask(X25519, SEK_ID))
        root, sek = (
            sign_transaction(
                sealed.call,
                ((self._rak_key, terms.nonces[0] + place),),
                context=self.sdk_context,
                gas=GAS,
                gas_price=terms.gas_price,
                proxy=app_id,
            )
            for place, sealed in enumerate(calls)
        )
        return root, sek

    def begin(self, root: bytes, sek: bytes, record: bytes) -> EnclaveState:
        """Open the keys, which prove that this instance is registered, and let the app run."""
        app_id = self._registered_app()
        if self._asked is None:
            raise NotAsked("the enclave has asked for no keys")
        sealed, self._asked = self._asked, None
        root_key = _read_key(open_result(root, sealed[0].key), "key")
        sek_key = _read_key(open_result(sek, sealed[1].key), "key")
        if self._instance is None:
            sealed_secrets = read_secrets(self._head.state_root, record, app_id)
            variables = open_secrets(sek_key, sealed_secrets)
            self._instance = self._make_instance(app_id, root_key)
            self._daemon.begin(self._instance)
            self._app.run(variables)
        elif self._instance.root_key != root_key:
            self.halt()
            raise KeyChanged("the app's root key is another one than before")
        self._expiration = self._signed_until
        return self.fetch_state()

    def halt(self) -> None:
        """End the app and its daemon; keys are dropped."""
        self._app.end()
        self._daemon.end()
        self._instance = self._expiration = self._asked = None

    def fetch_state(self) -> EnclaveState:
        """Where the enclave stands."""
        return EnclaveState(
            incarnation=self.latest.incarnation,
            height=self.latest.height,
            epoch=self.epoch,
            round=self._head.round,
            expiration=self._expiration,
            app=self._app.status() if self._instance is not None else None,
        )

    def fetch_logs(self) -> bytes:
        """Give the end of what the app wrote."""
        return self._app.logs()

    # -- what the daemon asks ------------------------------------------------------------------

    @property
    def epoch(self) -> Epoch:
        """Epoch of the newest verified block."""
        raw = self.latest.values.get(state_keys.EPOCH)
        return Epoch(0) if raw is None else decode_record(EpochState, raw).epoch

    @property
    def sdk_context(self) -> bytes:
        """Context of signatures under the ParaTime's transactions."""
        return signature_context(self.config.runtime_id, self.chain_context)

    @property
    def app_id(self) -> bytes:
        """The app, or raise `NoKeys` while it is not registered."""
        if self._expiration is None:
            raise NoKeys("the instance is not registered")
        return self._registered_app()

    def seal(self, call: Call, key: CallKey) -> Sealed:
        """Encrypt a call to a key that the host brought; raises as `ChainKeys.verify`."""
        to = self._chain_keys.verify(key, chain_context=self.chain_context, epoch=self.epoch)
        return seal_call(call, to, self.entropy)

    @property
    def _head(self) -> BlockHeader:
        """Newest round that consensus is proven to have finalized, or raise `ChainUnknown`."""
        raw = self.latest.values.get(state_keys.last_block_key(self.config.runtime_id))
        if raw is None:
            raise ChainUnknown("no round of the ParaTime is proven")
        return decode_record(BlockHeader, raw)

    # -- inside --------------------------------------------------------------------------------

    def enter_incarnation(self, verified: VerifiedState, known: Incarnation) -> None:
        """Forget the registration: the chain that the network goes on from may not know it."""
        del verified, known
        self.halt()

    def _registered_app(self) -> bytes:
        if self._app_id is None:
            raise NoKeys("the instance has not registered")
        return self._app_id

    def _make_instance(self, app_id: bytes, root_key: bytes) -> AppInstance:
        manifest = self._bundle.manifest
        description = (
            f'{{"name":"{manifest.name}","version":"{manifest.version}",'
            f'"bundle":"{bundle_hash(self._raw_bundle).hex()}"}}'
        )
        return AppInstance(
            app_id=app_id,
            name=manifest.name,
            instance_id=sha256(self.rak.public_key)[:20],
            root_key=root_key,
            measurement=self._report.mr_td,
            device_id=sha256(self._node_id),
            compose=description,
            surroundings=self._network,
        )


def _read_key(answer: Any, field: str) -> bytes:
    found = answer.get(field) if isinstance(answer, dict) else answer
    if not isinstance(found, bytes) or len(found) != KEY_BYTES:
        raise NotAsked("the chain's answer is no key")
    return found
