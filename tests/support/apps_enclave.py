"""An app's enclave in a test world: the whole program, over the world's chain and ParaTime."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qanat.cpu.domain import domain_report
from qanat.cpu.platform_server import DomainServer
from services.worker.appd.instance import AppInstance
from services.worker.enclave.program import WorkerProgram
from services.worker.enclave.protocol import CallKey, EnclaveState, FeeTerms
from services.worker.rules.bundle import AppManifest, Bundle, encode_bundle
from shared.crypto.entropy import SeededEntropy
from shared.crypto.hashes import sha256
from shared.encoding import cbor
from shared.encoding.contract import serve_call_now
from shared.encoding.record import encode_record
from shared.encoding.values import to_wire
from shared.errors import PeerUnavailable
from shared.rules import state_keys
from shared.rules.attested_apps import ENDORSE_CAPABILITY, proof_keys
from shared.tee.config import EnclaveConfig
from shared.tee.platform import DomainApi
from shared.tee.runtime import EnclaveContext
from shared.types.app_runs import AppRun
from shared.types.attestation import CapabilityTee, EnclaveIdentity
from shared.types.evm import EvmQuery
from shared.types.registry import RuntimeKind
from tests.support import mock_tee
from tests.support.attested_apps import APP_CODE, Client, Outcome, policy
from tests.support.keymanager import KEY_MANAGER_ID, PARATIME_ID, SIGNER_KEYS
from tests.support.world_genesis import CHAIN_ID, VERSION, identity_of

BUNDLE = encode_bundle(AppManifest("oracle", "0.1.0"), {"main.py": b"print('here')\n"})
IDENTITY: EnclaveIdentity = domain_report(APP_CODE).identity
QUOTES = {"tcb_validity_period": 3_650, "min_tcb_evaluation_data_number": 0, "tdx": {}}
PRICE = 100 * 10**9


def worker_policy(**changes: Any) -> dict[str, Any]:
    listed = [{"mr_enclave": IDENTITY.mr_enclave, "mr_signer": IDENTITY.mr_signer}]
    return policy(quotes={"pcs": QUOTES}, enclaves=listed, **changes)


class NoProgram:
    """Stands where the app's program would: keeps what it was asked to do."""

    def __init__(self) -> None:
        self.unpacked: Bundle | None = None
        self.variables: dict[str, str] | None = None

    def unpack(self, bundle: Bundle) -> None:
        self.unpacked = bundle

    def run(self, variables: Mapping[str, str]) -> None:
        self.variables = dict(variables)

    def end(self) -> None:
        self.variables = None

    def status(self) -> AppRun:
        return AppRun(1, 0, None)

    def logs(self) -> bytes:
        return b""


class NoDaemon:
    """Stands where the daemon would: has the instance that it would serve."""

    def __init__(self) -> None:
        self.instance: AppInstance | None = None

    def begin(self, instance: AppInstance) -> None:
        self.instance = instance

    def end(self) -> None:
        self.instance = None


class Direct:
    """Carries messages to an object."""

    def __init__(self, contract: type, implementation: Any) -> None:
        self._contract, self._implementation = contract, implementation

    def call(self, method: str, body: bytes) -> bytes:
        return serve_call_now(self._contract, self._implementation, method, body)


class Nobody:
    """A host that answers nothing."""

    def call(self, method: str, body: bytes) -> bytes:
        raise PeerUnavailable(f"{method}: nobody")


class Replica:
    """One instance, and its honest host as far as a test wants it."""

    def __init__(self, client: Client, name: str, node: str = "compute-0") -> None:
        world = client.world
        self.client, self.node = client, identity_of(node).node
        config = EnclaveConfig(
            runtime_id=PARATIME_ID,
            kind=RuntimeKind.COMPUTE,
            version=VERSION,
            chain_id=CHAIN_ID,
            validators=world.genesis.validators,
            root_ca_hash=sha256(mock_tee.pki().root_ca),
            key_manager=KEY_MANAGER_ID,
            policy_signers=SIGNER_KEYS,
            policy_threshold=2,
            runtime="worker",
            has_dev_controls=True,
        )
        platform = mock_tee.pki().create_platform(name, "TDX")
        server = DomainServer(platform, APP_CODE, encode_record(config), BUNDLE)
        context = EnclaveContext(
            config=config,
            platform=server,
            entropy=SeededEntropy(sha256(name.encode())),
            directory=Path("/nonexistent"),
            host=Nobody(),
            cpu=Direct(DomainApi, server),
        )
        self.app, self.daemon = NoProgram(), NoDaemon()
        self.program = WorkerProgram(context, self.app, self.daemon)  # type: ignore[arg-type]
        self.described = self.program.describe()

    async def synchronize(self) -> EnclaveState:
        keys = (
            state_keys.CHAIN_CONTEXT,
            state_keys.EPOCH,
            state_keys.INCARNATION,
            state_keys.key_manager_status_key(KEY_MANAGER_ID),
            state_keys.last_block_key(PARATIME_ID),
        )
        return self.program.synchronize(await self.client.world.client.fetch_proven_state(keys))

    async def terms(self) -> FeeTerms:
        rak, signer = [
            int(await self.client.query("accounts.Nonce", {"address": address}))
            for address in self.described.addresses
        ]
        return FeeTerms((rak, signer), PRICE)

    async def call_key(self) -> CallKey:
        found = await self.client.world.ask("compute-0").fetch_call_data_key()
        return CallKey(found.epoch, found.public_key)

    async def register(self, app: bytes, epochs: int = 2) -> Outcome:
        state = await self.synchronize()
        capability = self.program.attest(self.node.public_key)
        wire = cbor.encode(to_wire(CapabilityTee, capability))
        keys = proof_keys(self.node.public_key, state.epoch)
        raw = self.program.sign_registration(
            app,
            epochs,
            self.node.endorse(ENDORSE_CAPABILITY.anywhere(), wire),
            encode_record(await self.client.world.client.fetch_proven_state(keys)),
            await self.terms(),
        )
        return await self.client.submit(raw)

    async def derive(self) -> tuple[bytes, bytes]:
        """Call results of both derivations, as the chain gives them."""
        pair = self.program.sign_derivations(await self.terms(), await self.call_key())
        records = [await self.client.mine(raw) for raw in pair]
        return records[0]["output"], records[1]["output"]

    async def prove_record(self, app: bytes) -> bytes:
        """Proof of the app's record in the round that the enclave knows."""
        state = await self.synchronize()
        node = self.client.world.ask("compute-0")
        return await node.query(EvmQuery.PROVE_APP, app, state.round)

    async def begin(self, app: bytes) -> EnclaveState:
        root, sek = await self.derive()
        return self.program.begin(root, sek, await self.prove_record(app))
