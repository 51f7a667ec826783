"""Builds an app: the bundle that workers run, and what its enclave is measured as."""

import asyncio
import base64
import json
from dataclasses import dataclass, replace
from pathlib import Path

from qanat.compose import run_in_container
from qanat.compose_file import project_of
from qanat.node_client import NodeClient
from qanat.observe import Running
from qanat.rofl.bundle import BUNDLE_SUFFIX, enclave_identity, pack
from qanat.rofl.compose_project import BadCompose, read_compose_file
from qanat.rofl.images import pin_image
from qanat.rofl.manifest import save_manifest
from qanat.rofl.project import Project, ask_chain
from services.worker.rules.bundle import AppManifest
from shared.api.consensus import consensus_client
from shared.encoding.record import decode_record
from shared.errors import Rejected
from shared.rules.app_ids import decode_app_id
from shared.types.attestation import EnclaveIdentity
from shared.types.genesis import Genesis

HASH_CODE = """
import json
from qanat.cpu.measurement import hash_code
print(json.dumps({name: one.hex() for name, one in hash_code("worker").items()}))
"""
"""What a container runs, to say of what files a worker's enclaves are."""


class OtherIdentity(Rejected, module="rofl_cli", code=7):
    """What was built is not what the manifest or the chain lets register."""


@dataclass(frozen=True, slots=True)
class Built:
    """A bundle and what it is measured as."""

    bundle: bytes
    path: Path
    identity: EnclaveIdentity

    @property
    def text(self) -> str:
        """Give the identity as manifests have it: MRENCLAVE and MRSIGNER, base64."""
        raw = self.identity.mr_enclave + self.identity.mr_signer
        return base64.b64encode(raw).decode()


def build(project: Project, running: Running, output: Path | None = None) -> Built:
    """
    Pack the app's directory, write the bundle, and measure it for a network.

    Raises
    ------
    BadBundle, NoSuchParaTime
        The files are no app, or the network has no such ParaTime.
    BadCompose
        The app is one of containers, and its Compose file asks for what workers do not run.
    PeerUnavailable
        Consensus does not answer.
    """
    bundle = pack_app(project)
    genesis, runtime_id = fetch_genesis(running), runtime_id_of(running, project)
    identity = enclave_identity(bundle, genesis, runtime_id, fetch_code(running))
    name = f"{project.manifest.name}.{project.name}{BUNDLE_SUFFIX}"
    path = output or project.path.parent / name
    path.write_bytes(bundle)
    return Built(bundle, path, identity)


def pack_app(project: Project) -> bytes:
    """Pack the app's directory, or raise `BadBundle`, `BadContainers`, `BadCompose`."""
    manifest, directory = project.manifest, project.path.parent
    described = AppManifest(
        name=manifest.name, version=manifest.version, memory_mib=manifest.resources.memory
    )
    if manifest.kind == "container":
        compose = manifest.compose_file
        services = read_compose_file(directory / compose, memory_mib=described.memory_mib)
        for one in services:
            if (pinned := pin_image(one.image)) != one.image:
                raise BadCompose(
                    f"services.{one.name}: image {one.image!r} is not pinned, so nothing would say "
                    f"which one is measured; the one on this machine is {pinned}"
                )
        described = replace(described, entry_point=compose, containers=services)
    return pack(directory, described)


def note_identity(project: Project, built: Built) -> bool:
    """Let the policy of the manifest accept what was built; says whether it is new there."""
    is_new = project.deployment.policy.set_newest(built.text)
    if is_new:
        save_manifest(project.manifest, project.path)
    return is_new


def verify_built(project: Project, built: Built, gateway: str) -> None:
    """Compare what was built with manifest and chain, or raise `OtherIdentity`."""
    if built.text not in project.deployment.policy.identities():
        raise OtherIdentity(f"built {built.text}, which {project.path} does not list")
    verify_accepted(project, built, gateway)


def verify_accepted(project: Project, built: Built, gateway: str) -> None:
    """Raise `OtherIdentity` where the chain would not let this enclave register."""
    app_id = decode_app_id(project.app_id)
    app = ask_chain(gateway, lambda chain: chain.fetch_app(app_id)).app
    accepted = [(one["mr_enclave"], one["mr_signer"]) for one in app["policy"]["enclaves"]]
    if (built.identity.mr_enclave, built.identity.mr_signer) not in accepted:
        raise OtherIdentity(
            f"the chain does not accept {built.text} yet: run `qanat rofl update` first"
        )


def fetch_code(running: Running) -> dict[str, bytes] | None:
    """
    Ask the image of a network in containers for the hashes of what its workers run.

    It is not this checkout's code: the native module was compiled there. None of processes.
    """
    if running.launcher_pid is not None:
        return None
    told = run_in_container(project_of(running.network), "python", "-c", HASH_CODE)
    try:
        return {name: bytes.fromhex(hash_) for name, hash_ in json.loads(told).items()}
    except (ValueError, AttributeError):
        raise OtherIdentity(
            "the image cannot tell what its workers run: `docker compose build` makes one of "
            f"this code ({told[-200:].decode(errors='replace').strip()})"
        ) from None


def fetch_genesis(running: Running) -> Genesis:
    """Ask consensus for the genesis document, which enclaves are measured with."""
    plan = running.plans_of("consensus")[0]

    async def main() -> bytes:
        async with NodeClient(plan) as client:
            return await consensus_client(client).fetch_genesis()

    return decode_record(Genesis, asyncio.run(main()))


def runtime_id_of(running: Running, project: Project) -> bytes:
    """Id of the ParaTime that a deployment names, or of the network's first."""
    paratimes = running.network.paratime
    named = [one for one in paratimes if one.name == project.deployment.paratime]
    return bytes.fromhex((named or paratimes)[0].id)
