"""A client of attested apps in a test world: signs, registers, asks; and enclaves that register."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cbor2
import evm_native
from eth_account import Account

from qanat.paratime.signing import EpochKey, open_result, seal_call
from shared.crypto.address import ethereum_address, sr25519_address, staking_address
from shared.crypto.signing import Signer
from shared.encoding import cbor
from shared.encoding.record import encode_record
from shared.encoding.values import to_wire
from shared.rules.attested_apps import ENDORSE_CAPABILITY, proof_keys
from shared.rules.transaction_keys import sign_transaction
from shared.types.attestation import CapabilityTee, EnclaveIdentity
from shared.types.sdk_transaction import (
    AddressSpec,
    Call,
    SignatureSpec,
    signature_context,
)
from tests.support import mock_tee
from tests.support.keymanager import PARATIME_ID
from tests.support.signing import FIRST_KEY
from tests.support.world import World
from tests.support.world_genesis import identity_of

GWEI, TOKEN = 10**9, 10**18
GAS = 2_000_000
PRICE = 100 * GWEI
SECP256K1_OASIS, SR25519_PURE = 3, 6
OASIS_SEK = b"oasis-runtime-sdk/rofl: secrets encryption key v1"
APP_CODE, OTHER_CODE = (
    EnclaveIdentity(b"\x61" * 32, b"s" * 32),
    EnclaveIdentity(b"\x62" * 32, b"s" * 32),
)


class Ed25519Key:
    """Signs as an attestation key does."""

    def __init__(self, name: str) -> None:
        self.signer = mock_tee.rak(name)
        self.public_key = self.signer.public_key
        self.address = staking_address(self.public_key)
        self.spec = AddressSpec(SignatureSpec(ed25519=self.public_key))
        self.named = {"ed25519": self.public_key}

    def sign(self, context: bytes, body: bytes) -> bytes:
        return self.signer.sign(context, body)


class EthereumKey:
    """Signs by the key of an Ethereum account."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret
        self.public_key, _ = evm_native.keypair(SECP256K1_OASIS, secret)
        self.spec = AddressSpec(SignatureSpec(secp256k1eth=self.public_key))
        self.named = {"secp256k1": self.public_key}
        self.ethereum = bytes.fromhex(Account.from_key(secret).address[2:])
        self.address = ethereum_address(self.ethereum)

    def sign(self, context: bytes, body: bytes) -> bytes:
        return evm_native.sign(SECP256K1_OASIS, self.secret, context, body)


class Sr25519Key:
    """Signs as a key of Polkadot does, for an account that only runtimes know."""

    def __init__(self, seed: bytes) -> None:
        self.public_key, self.secret = evm_native.keypair(SR25519_PURE, seed)
        self.spec = AddressSpec(SignatureSpec(sr25519=self.public_key))
        self.named = {"sr25519": self.public_key}
        self.address = sr25519_address(self.public_key)

    def sign(self, context: bytes, body: bytes) -> bytes:
        return evm_native.sign_separated("sr25519", self.secret, context, body)


Key = Ed25519Key | EthereumKey | Sr25519Key
RICH = EthereumKey(bytes.fromhex(FIRST_KEY.removeprefix("0x")))


def policy(**changes: Any) -> dict[str, Any]:
    """A policy that lets any compute node endorse the app's code."""
    return {
        "quotes": {"pcs": {"tcb_validity_period": 3_650, "min_tcb_evaluation_data_number": 0}},
        "enclaves": [{"mr_enclave": APP_CODE.mr_enclave, "mr_signer": APP_CODE.mr_signer}],
        "endorsements": [{"role_compute": {}}],
        "fees": 2,
        "max_expiration": 3,
    } | changes


@dataclass(frozen=True)
class Outcome:
    """What became of a transaction."""

    value: Any
    error: tuple[str, int] | None
    record: dict[str, Any]


class Client:
    """Sends transactions of the SDK's format to a world, and waits for what becomes of them."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.context = signature_context(PARATIME_ID, world.genesis.chain_context())

    async def query(self, method: str, args: Any = None) -> Any:
        return cbor2.loads(await self.world.ask("compute-0").query(method, cbor.encode(args)))

    async def nonce(self, key: Key) -> int:
        return int(await self.query("accounts.Nonce", {"address": key.address}))

    async def balance(self, address: bytes) -> int:
        found = await self.query("accounts.Balances", {"address": address})
        return int.from_bytes(found["balances"][b""], "big")

    async def sign(
        self,
        call: Call,
        *keys: Key,
        proxy: bytes | None = None,
        price: int = PRICE,
        nonce: int | None = None,
    ) -> bytes:
        nonces = [await self.nonce(key) for key in keys]
        if nonce is not None:
            nonces[0] = nonce
        return sign_transaction(
            call,
            tuple(zip(keys, nonces, strict=True)),
            context=self.context,
            gas=GAS,
            gas_price=price,
            proxy=proxy,
        )

    async def send(self, method: str, body: Any, *keys: Key, **options: Any) -> Outcome:
        return await self.submit(await self.sign(Call(body, method), *(keys or (RICH,)), **options))

    async def send_sealed(self, method: str, body: Any, *keys: Key, **options: Any) -> Outcome:
        found = await self.world.ask("compute-0").fetch_call_data_key()
        sealed = seal_call(Call(body, method), EpochKey(found.epoch, found.public_key.key))
        return await self.submit(await self.sign(sealed.call, *keys, **options), sealed.key)

    async def refusal(self, raw: bytes) -> tuple[str, int]:
        """Why the pool does not take a transaction."""
        (answer,) = await self.world.ask("compute-0").submit_transactions((raw,))
        return answer.module, answer.code

    async def submit(self, raw: bytes, key: bytes | None = None) -> Outcome:
        record = await self.mine(raw)
        error = record["error"]
        if error is not None:
            return Outcome(None, (error["module"], error["code"]), record)
        return Outcome(open_result(record["output"], key), None, record)

    async def mine(self, raw: bytes) -> dict[str, Any]:
        """The record of a transaction, which is the same on all nodes."""
        (answer,) = await self.world.ask("compute-0").submit_transactions((raw,))
        assert answer.module == "", answer
        found: list[bytes] = []

        def is_everywhere() -> bool:
            found[:] = [self._result(name, raw) for name in self.running()]
            return all(found)

        await self.world.until(is_everywhere)
        assert len(set(found)) == 1, "nodes disagree"
        record: dict[str, Any] = cbor2.loads(found[0])
        return record

    def running(self) -> list[str]:
        return [name for name in self.world.compute if name in self.world.nodes]

    def _result(self, name: str, raw: bytes) -> bytes:
        feed = self.world.nodes[name].feed
        for round_ in range(feed.next_round - 1, max(feed.next_round - 20, 0), -1):
            block = feed.find(round_)
            if raw in block.transactions:
                return block.results[block.transactions.index(raw)]
        return b""


@dataclass(frozen=True)
class Instance:
    """An enclave of an app, and the node that answers for it."""

    client: Client
    app: bytes
    name: str = "instance"
    node: str = "compute-0"
    code: EnclaveIdentity = APP_CODE
    extra: tuple[Key, ...] = ()

    @property
    def rak(self) -> Ed25519Key:
        return Ed25519Key(self.name)

    def capability(self, height: int | None = None, node: str | None = None) -> CapabilityTee:
        """Evidence, with a real quote of the mock platform."""
        return mock_tee.attested(
            of=mock_tee.platform(self.name),
            identity=self.code,
            node_id=identity_of(node or self.node).node.public_key,
            height=self.client.world.consensus.height if height is None else height,
            signer=self.rak.signer,
        )

    async def prove(self) -> bytes:
        world = self.client.world
        keys = proof_keys(identity_of(self.node).node.public_key, world.epoch)
        return encode_record(await world.client.fetch_proven_state(keys))

    async def body(
        self,
        *,
        capability: CapabilityTee | None = None,
        endorser: Signer | None = None,
        proof: bytes | None = None,
        epochs: int = 2,
        **changes: Any,
    ) -> dict[str, Any]:
        """What it registers with."""
        endorser = endorser or identity_of(self.node).node
        wire = to_wire(CapabilityTee, capability or self.capability())
        signature = endorser.sign(ENDORSE_CAPABILITY.anywhere(), cbor.encode(wire))
        return {
            "app": self.app,
            "ect": {
                "capability_tee": wire,
                "node_endorsement": {"public_key": endorser.public_key, "signature": signature},
            },
            "expiration": self.client.world.epoch + epochs,
            "extra_keys": [key.named for key in self.extra],
            "metadata": {"name": self.name},
            "proof": proof or await self.prove(),
        } | changes

    async def register(self, *, signers: Sequence[Key] | None = None, **changes: Any) -> Outcome:
        keys = (self.rak, *self.extra) if signers is None else tuple(signers)
        body = await self.body(**changes)
        return await self.client.send("rofl.Register", body, *keys, proxy=self.app)

    async def derive(self, *, by: Key | None = None, **changes: Any) -> Outcome:
        body = {"app": self.app, "kind": 0, "generation": 0, "key_id": b"a key"} | changes
        return await self.client.send_sealed("rofl.DeriveKey", body, by or self.rak, proxy=self.app)

    def but(self, **changes: Any) -> "Instance":
        return replace(self, **changes)


async def create_app(client: Client, **changes: Any) -> bytes:
    """Make an app of the rich account, and let the nodes that endorse pay for it."""
    created = await client.send(
        "rofl.Create", {"policy": policy(**changes), "scheme": 1, "metadata": {}}
    )
    assert created.error is None, created
    return bytes(created.value)


async def fund(client: Client, address: bytes, tokens: int = 50) -> None:
    """Give an account what it pays fees from."""
    units = (tokens * TOKEN).to_bytes(16, "big")
    sent = await client.send("accounts.Transfer", {"to": address, "amount": [units, b""]})
    assert sent.error is None, sent


def node_address(name: str) -> bytes:
    return staking_address(identity_of(name).node.public_key)
