"""An app as its owner has it: a directory with a manifest, an account, and a chain."""

import asyncio
import base64
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from qanat.rofl.manifest import (
    COMPOSE_FILE,
    DEFAULT_DEPLOYMENT,
    FILE_NAMES,
    Artifacts,
    ContainerArtifacts,
    Deployment,
    Manifest,
    NoManifest,
    Policy,
    Secret,
    find_manifest,
    load_manifest,
    save_manifest,
)
from qanat.rofl.owner import DEFAULT_ACCOUNT, SCHEMES, AppState, Owner, find_account
from qanat.rofl.secrets import BadSecret, seal_secret
from qanat.view.gateway import Gateway
from shared.crypto.address import decode_address, encode_address
from shared.rules.app_ids import decode_app_id, encode_app_id
from shared.types.app_secrets import encode_envelope

WEI_PER_TOKEN = 10**18
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs what changes an app, and where."""

    gateway: str
    account: str | None
    """None is the admin that the manifest names."""
    key_file: Path | None

    def tell(self, admin: str | None, talk: Callable[[Owner], Awaitable[T]]) -> T:
        """Have a conversation with the gateway as this account."""
        chosen = find_account(self.account or admin or DEFAULT_ACCOUNT, self.key_file)
        return _converse(Owner(Gateway(self.gateway), chosen), talk)


def ask_chain(gateway: str, talk: Callable[[Owner], Awaitable[T]]) -> T:
    """Have a conversation with a gateway as nobody."""
    return _converse(Owner(Gateway(gateway)), talk)


def _converse(owner: Owner, talk: Callable[[Owner], Awaitable[T]]) -> T:
    async def main() -> T:
        async with owner:
            return await talk(owner)

    return asyncio.run(main())


def init_project(
    directory: Path,
    *,
    reset: bool,
    memory_mib: int | None = None,
    kind: Literal["raw", "container"] = "raw",
) -> tuple[Path, Manifest]:
    """Make a manifest, or take its deployments out; raises `NoManifest`, `BadManifest`."""
    if reset:
        path = find_manifest(directory)
        manifest = load_manifest(path).model_copy(update={"deployments": {}})
    else:
        directory.mkdir(parents=True, exist_ok=True)
        for name in FILE_NAMES:
            if (directory / name).exists():
                raise NoManifest(f"{directory / name} is there; --reset forgets its deployments")
        path = directory / FILE_NAMES[0]
        manifest = Manifest(name=directory.resolve().name, version="0.1.0", kind=kind)
        if kind == "container":
            manifest.artifacts = Artifacts(container=ContainerArtifacts(compose=COMPOSE_FILE))
    if memory_mib is not None:
        manifest.resources.memory = memory_mib
    save_manifest(manifest, path)
    return path, manifest


def create_app(
    directory: Path, signer: Signer, *, name: str | None, scheme: str, network: str, paratime: str
) -> str:
    """
    Make an app on the chain and note it in the manifest; its id, `rofl1…`.

    Raises
    ------
    NoManifest
        There is none, or its deployment has an app already.
    AppRefused, NotMined, NoAccount, GatewaySilent
        The chain did not do it.
    """
    path = find_manifest(directory)
    manifest = load_manifest(path)
    chosen = name or DEFAULT_DEPLOYMENT
    made = manifest.deployments.get(chosen)
    if made is not None and made.app_id is not None:
        raise NoManifest(f"deployment {chosen!r} has the app {made.app_id}; remove that one first")
    if made is None:
        made = Deployment(
            default=None if manifest.deployments else True,
            network=network,
            paratime=paratime,
            admin=signer.account or (None if signer.key_file else DEFAULT_ACCOUNT),
            policy=default_policy(),
        )
    policy, metadata = made.policy.on_chain(), manifest.metadata_of(made)
    app_id = signer.tell(made.admin, lambda chain: chain.create(policy, metadata, SCHEMES[scheme]))
    made.app_id = encode_app_id(app_id)
    manifest.deployments[chosen] = made
    save_manifest(manifest, path)
    return made.app_id


def default_policy() -> Policy:
    """A policy that accepts no enclave yet; any node may endorse, and pays."""
    pcs = {"tcb_validity_period": 30, "min_tcb_evaluation_data_number": 17, "tdx": {}}
    return Policy(quotes={"pcs": pcs}, endorsements=[{"any": {}}])


class Project:
    """The manifest of a directory, and the deployment that a command is about."""

    def __init__(self, directory: Path, deployment: str | None) -> None:
        """Find and read both, or raise `NoManifest`, `BadManifest`."""
        self.path = find_manifest(directory)
        self.manifest = load_manifest(self.path)
        self.name = self.manifest.deployment_name(deployment)

    @property
    def deployment(self) -> Deployment:
        """As it is in the manifest."""
        return self.manifest.deployments[self.name]

    @property
    def app_id(self) -> str:
        """Id of the app, `rofl1…`, or raise `NoManifest`."""
        if self.deployment.app_id is None:
            raise NoManifest(f"deployment {self.name!r} has no app yet: run `qanat rofl create`")
        return self.deployment.app_id

    def update(self, signer: Signer) -> None:
        """Put policy, metadata and secrets of the manifest onto the chain; the admin stays."""
        app_id = decode_app_id(self.app_id)
        body = {
            "policy": self.deployment.policy.on_chain(),
            "metadata": self.manifest.metadata_of(self.deployment),
            "secrets": self.deployment.sealed_secrets(),
        }

        async def talk(chain: Owner) -> None:
            admin = (await chain.fetch_app(app_id)).app["admin"]
            await chain.update(app_id, body | {"admin": admin})

        signer.tell(self.deployment.admin, talk)

    def hand_over(self, signer: Signer, admin: str) -> None:
        """Give the app to another account, `oasis1…`; all else stays as the chain has it."""
        app_id, address = decode_app_id(self.app_id), decode_address(admin)

        async def talk(chain: Owner) -> None:
            app = (await chain.fetch_app(app_id)).app
            kept = {name: app[name] for name in ("policy", "metadata", "secrets")}
            await chain.update(app_id, kept | {"admin": address})

        signer.tell(self.deployment.admin, talk)

    def remove(self, signer: Signer) -> None:
        """Remove the app from the chain, and its id and secrets from the manifest."""
        app_id = decode_app_id(self.app_id)
        signer.tell(self.deployment.admin, lambda chain: chain.remove(app_id))
        self.deployment.app_id = None
        self.deployment.secrets = []
        save_manifest(self.manifest, self.path)

    # -- secrets -------------------------------------------------------------------------------

    def put_secrets(
        self,
        values: dict[str, bytes],
        gateway: str,
        *,
        force: bool = False,
        public_name: str | None = None,
    ) -> None:
        """Seal secrets to the app and note them; raises `BadSecret` where one is there already."""
        held = self.deployment.secrets
        there = [name for name in values if self.deployment.secret(name)]
        if there and not force:
            raise BadSecret(f"{', '.join(there)}: there already; --force replaces it")
        app_id = decode_app_id(self.app_id)
        sek = bytes(ask_chain(gateway, lambda chain: chain.fetch_app(app_id)).app["sek"])
        sealed = [
            Secret(
                name=name,
                public_name=public_name,
                value=base64.b64encode(encode_envelope(seal_secret(name, value, sek))).decode(),
            )
            for name, value in values.items()
        ]
        self.deployment.secrets = [one for one in held if one.name not in values] + sealed
        save_manifest(self.manifest, self.path)

    def secret(self, name: str) -> Secret:
        """Find a secret, or raise `BadSecret`."""
        found = self.deployment.secret(name)
        if found is None:
            raise BadSecret(f"{self.path} has no secret {name!r}")
        return found

    def remove_secret(self, name: str) -> None:
        """Take a secret out of the manifest, or raise `BadSecret`."""
        self.deployment.secrets.remove(self.secret(name))
        save_manifest(self.manifest, self.path)


def shown_app(state: AppState) -> dict[str, Any]:
    """Put what the chain knows of an app into texts and numbers."""
    app = state.app
    stake = int.from_bytes(app["stake"][0], "big")
    return {
        "app_id": encode_app_id(app["id"]),
        "admin": None if app["admin"] is None else encode_address(app["admin"]),
        "stake": f"{stake / WEI_PER_TOKEN:g}",
        "policy": _shown(app["policy"]),
        "metadata": app["metadata"],
        "secrets": {name: len(value) for name, value in app["secrets"].items()},
        "sek": app["sek"].hex(),
        "instances": [
            {
                "rak": _shown(one["rak"]),
                "node_id": _shown(one["node_id"]),
                "expiration": one["expiration"],
                "metadata": one.get("metadata", {}),
            }
            for one in state.instances
        ],
    }


def _shown(value: Any) -> Any:
    match value:
        case bytes():
            return value.hex()
        case dict() if len(value) == 1 and set(value) <= {"ed25519", "secp256k1"}:
            return _shown(next(iter(value.values())))
        case dict():
            return {name: _shown(one) for name, one in value.items()}
        case list() | tuple():
            return [_shown(one) for one in value]
        case _:
            return value
