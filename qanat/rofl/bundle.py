"""Packing an app's directory, and saying offline what its enclave will be measured as."""

from collections.abc import Mapping
from pathlib import Path

from qanat.cpu import measure_enclave
from qanat.cpu.domain import domain_report
from services.worker.rules.bundle import AppManifest, decode_bundle, encode_bundle
from shared.encoding.record import encode_record
from shared.errors import Rejected
from shared.tee.config import EnclaveConfig
from shared.tee.quote import TdReport
from shared.types.attestation import EnclaveIdentity
from shared.types.genesis import Genesis
from shared.types.registry import RuntimeDescriptor, RuntimeKind

WORKER = "worker"
LEFT_OUT = frozenset({"__pycache__", "rofl.yaml", "rofl.yml"})
"""What stands beside an app's files and is no part of it."""
BUNDLE_SUFFIX = ".orc"


class NoSuchParaTime(Rejected, module="bundle", code=2):
    """The genesis document has no ParaTime of this id in which apps can have keys."""


def pack(directory: Path, manifest: AppManifest) -> bytes:
    """
    Pack the files below a directory; hidden ones, caches and bundles are left out.

    Raises
    ------
    BadBundle
        Something there cannot be bundled, such as a name with a space, or too much of it.
    """
    files = {}
    for path in sorted(directory.rglob("*")):
        inside = path.relative_to(directory)
        if any(part in LEFT_OUT or part.startswith(".") for part in inside.parts):
            continue
        # A link could lead out of the directory, to what nobody meant to publish.
        if path.is_file() and not path.is_symlink() and path.suffix != BUNDLE_SUFFIX:
            files[inside.as_posix()] = path.read_bytes()
    return encode_bundle(manifest, files)


def enclave_identity(
    bundle: bytes, genesis: Genesis, runtime_id: bytes, code: Mapping[str, bytes] | None = None
) -> EnclaveIdentity:
    """
    Say what an instance's enclave is measured as, on any worker of a network.

    Its quotes are TDX-shaped, so this is the identity of a trust domain.

    Parameters
    ----------
    bundle : `bytes`
        As `pack` gives it.
    genesis : `Genesis`
        The network's: what enclaves pin stands there.
    runtime_id : `bytes`
        The ParaTime in which the app is registered, 32 bytes.
    code : `Mapping`, optional
        Hashes of what workers run, where that is not this checkout.

    Raises
    ------
    BadBundle, NoSuchParaTime, NotMeasurable
        See each class.
    """
    return enclave_report(bundle, genesis, runtime_id, code).identity


def enclave_report(
    bundle: bytes, genesis: Genesis, runtime_id: bytes, code: Mapping[str, bytes] | None = None
) -> TdReport:
    """As `enclave_identity`: what is measured, before any event; its MRTD is what clients name."""
    decode_bundle(bundle)
    config = encode_record(worker_config(genesis, runtime_id))
    return domain_report(measure_enclave(WORKER, config, bundle=bundle, code=code))


def worker_config(genesis: Genesis, runtime_id: bytes) -> EnclaveConfig:
    """Give the measured configuration of the apps' enclaves, which follows from the genesis."""
    paratime = _find(genesis, runtime_id)
    if paratime.key_manager is None:
        raise NoSuchParaTime(f"ParaTime {runtime_id.hex()} has no key manager to derive keys")
    manager = _find(genesis, paratime.key_manager)
    active = paratime.active_deployment(genesis.beacon.base_epoch)
    if active is None:
        raise NoSuchParaTime(f"ParaTime {runtime_id.hex()} has no deployment")
    return EnclaveConfig(
        runtime_id=paratime.id,
        kind=RuntimeKind.COMPUTE,
        version=active.version,
        chain_id=genesis.chain_id,
        validators=genesis.validators,
        root_ca_hash=genesis.registry.tee_root_ca_hash,
        key_manager=manager.id,
        policy_signers=manager.policy_signers,
        policy_threshold=manager.policy_threshold,
        runtime=WORKER,
        has_dev_controls=genesis.dev_control_key is not None,
    )


def _find(genesis: Genesis, runtime_id: bytes) -> RuntimeDescriptor:
    found = next((one for one in genesis.runtimes if one.id == runtime_id), None)
    if found is None:
        raise NoSuchParaTime(f"the genesis document has no runtime {runtime_id.hex()}")
    return found
