"""
Apps whose enclaves are measured otherwise than the chain accepts, since the workers' code changed.

An enclave's measurement covers the worker's code as well as the bundle. A network that goes on with
other code (ADR 0052) has bundles whose instances the chain lets register no more, until the app's
admin says that he accepts that code. Nobody else can say it for him.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qanat.layout import DataLayout
from qanat.network import NodePlan
from qanat.observe import Running
from qanat.rofl.building import fetch_code, fetch_genesis
from qanat.rofl.bundle import enclave_identity
from qanat.rofl.deploying import NoWorkers
from qanat.rofl.owner import Owner
from qanat.rofl.project import Signer, ask_chain
from services.worker.rules.bundle import AppManifest, BadBundle, decode_bundle
from services.worker.rules.containers import MountKind
from services.worker.store import DeploymentStore
from shared.errors import Rejected
from shared.rules.app_ids import encode_app_id
from shared.types.attestation import EnclaveIdentity

APPS = "apps"
"""Folder of a worker's host with what is deployed there."""


class NotDeployed(Rejected, module="rofl_cli", code=12):
    """No worker whose files are here has such an app."""


@dataclass(frozen=True, slots=True)
class CarriedApp:
    """An app that workers are to run, by their own files."""

    app_id: bytes
    name: str
    bundles: tuple[bytes, ...]
    """Different ones, where workers have different ones."""
    volumes: tuple[str, ...] = ()
    """What its containers keep in the engine, by the names of the Compose file."""


@dataclass(frozen=True, slots=True)
class Measured:
    """An app, what its bundles are measured as now, and what the chain lets register."""

    app: CarriedApp
    now: tuple[EnclaveIdentity, ...]
    accepted: tuple[EnclaveIdentity, ...]

    @property
    def is_accepted(self) -> bool:
        """Whether every instance of it can register."""
        return set(self.now) <= set(self.accepted)


def find_carried(layout: DataLayout, plans: Sequence[NodePlan]) -> list[CarriedApp]:
    """Read which apps the workers of a data directory have, by id; unreadable bundles are left."""
    found: dict[bytes, dict[bytes, AppManifest]] = {}
    for plan in plans:
        if plan.service != "worker":
            continue
        store = DeploymentStore(layout.host(plan.name) / APPS)
        for deployment in store.load():
            raw = store.bundle(deployment.app_id).read_bytes()
            try:
                manifest = decode_bundle(raw).manifest
            except BadBundle:
                continue
            found.setdefault(deployment.app_id, {})[raw] = manifest
    return [
        CarriedApp(
            app_id, next(iter(bundles.values())).name, tuple(bundles), _volumes(bundles.values())
        )
        for app_id, bundles in sorted(found.items())
    ]


def _volumes(manifests: Iterable[AppManifest]) -> tuple[str, ...]:
    services = (service for one in manifests for service in one.containers or ())
    mounts = (mount for service in services for mount in service.mounts)
    return tuple(sorted({one.source for one in mounts if one.kind is MountKind.VOLUME}))


def measure(apps: Sequence[CarriedApp], running: Running, gateway: str) -> list[Measured]:
    """
    Measure apps by the code that the network runs now, beside what the chain accepts.

    Raises
    ------
    NoWorkers
        The network has none.
    AppRefused, GatewaySilent, PeerUnavailable
        The chain does not know an app, or a node does not answer.
    """
    worker = running.network.worker
    if worker is None:
        raise NoWorkers("this network has no workers")
    genesis, code = fetch_genesis(running), fetch_code(running)
    runtime_id = bytes.fromhex(running.network.find_paratime(worker.paratime).id)
    return [
        Measured(
            app,
            tuple(enclave_identity(one, genesis, runtime_id, code) for one in app.bundles),
            _accepted(app.app_id, gateway),
        )
        for app in apps
    ]


def accept(measured: Measured, signer: Signer) -> None:
    """
    Have the chain accept an app's enclaves as they are measured now, and no others.

    All else of the app stays. Raises `AppRefused` where the account is not its admin.
    """
    app_id = measured.app.app_id
    enclaves = [{"mr_enclave": one.mr_enclave, "mr_signer": one.mr_signer} for one in measured.now]

    async def talk(chain: Owner) -> None:
        app = (await chain.fetch_app(app_id)).app
        kept = {name: app[name] for name in ("metadata", "secrets", "admin")}
        await chain.update(app_id, kept | {"policy": app["policy"] | {"enclaves": enclaves}})

    signer.tell(None, talk)


def choose(apps: Sequence[CarriedApp], wanted: Sequence[bytes], data: Path) -> list[CarriedApp]:
    """Give those that are wanted, or all; raises `NotDeployed`."""
    known = {one.app_id for one in apps}
    for app_id in wanted or (() if apps else (b"",)):
        if app_id not in known:
            what = encode_app_id(app_id) if app_id else "no app"
            raise NotDeployed(
                f"{what} is on the workers in {data}: where you have its files, "
                "`qanat rofl build && qanat rofl update`"
            )
    return [one for one in apps if not wanted or one.app_id in wanted]


def _accepted(app_id: bytes, gateway: str) -> tuple[EnclaveIdentity, ...]:
    policy = ask_chain(gateway, lambda chain: chain.fetch_app(app_id)).app["policy"]
    return tuple(EnclaveIdentity(one["mr_enclave"], one["mr_signer"]) for one in policy["enclaves"])
