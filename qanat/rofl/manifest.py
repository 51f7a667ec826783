"""
`rofl.yaml`: what an attested app is, and where it is deployed.

Source: oasisprotocol/cli `build/rofl/manifest.go`. What we do not use, such as firmware and
builders, is read, kept, and written back as it was.
"""

import base64
import binascii
import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from shared.crypto.address import MalformedAddress
from shared.errors import Rejected
from shared.rules.app_ids import decode_app_id

FILE_NAMES = ("rofl.yaml", "rofl.yml")
DEFAULT_DEPLOYMENT = "default"
COMPOSE_FILE = "compose.yaml"
METADATA_PREFIX = "net.oasis.rofl."
MAX_BYTES = 1024 * 1024
VERSION = re.compile(r"\d{1,5}\.\d{1,5}\.\d{1,5}")
HASH_BYTES = 32
FEES = {"instance": 1, "endorsing_node": 2}
"""Who pays for registrations, and how the chain knows it."""


class NoManifest(Rejected, module="rofl_cli", code=1):
    """There is no manifest here, or one is there already."""


class BadManifest(Rejected, module="rofl_cli", code=2):
    """The manifest cannot be read, or says something that no app can be."""


def _checked(check: Callable[[str], object], what: str) -> AfterValidator:
    def verify(text: str) -> str:
        try:
            check(text)
        except (binascii.Error, MalformedAddress, ValueError) as error:
            raise ValueError(f"is no {what}") from error
        return text

    return AfterValidator(verify)


def read_base64(text: str, size: int | None = None) -> bytes:
    """Read strict base64 of so many bytes, or raise `ValueError`."""
    read = base64.b64decode(text, validate=True)
    if size is not None and len(read) != size:
        raise ValueError(f"{len(read)} bytes, not {size}")
    return read


def _version(text: str) -> None:
    if not VERSION.fullmatch(text):
        raise ValueError(text)


IdentityText = Annotated[
    str, _checked(lambda text: read_base64(text, 2 * HASH_BYTES), "base64 of 64 bytes")
]
"""MRENCLAVE and MRSIGNER, base64."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="allow", validate_assignment=True)


class Storage(_Section):
    """Disk of an instance."""

    kind: Literal["none", "disk-ephemeral", "disk-persistent", "ram"]
    size: Annotated[int, Field(ge=16)]
    """[MB]"""


class Resources(_Section):
    """What an instance needs."""

    memory: Annotated[int, Field(ge=16)] = 512
    """[MB]"""
    cpus: Annotated[int, Field(ge=1, le=255)] = 1
    storage: Storage | None = None


class ContainerArtifacts(_Section):
    """What an app of containers is made of."""

    runtime: str | None = None
    compose: str | None = None
    """Compose file, from the app's directory on."""


class Artifacts(_Section):
    """What an app is built from."""

    container: ContainerArtifacts | None = None


class Enclave(_Section):
    """An identity that may register."""

    id: IdentityText
    version: str | None = None
    """Of the app it was built from; None is the newest."""
    description: str | None = None


class Policy(_Section):
    """Who may register as an instance, as people write it down."""

    quotes: dict[str, Any] = Field(default_factory=dict)
    enclaves: list[Enclave | IdentityText] = Field(default_factory=list)
    endorsements: list[dict[str, Any]] = Field(default_factory=list)
    fees: Literal["instance", "endorsing_node", 1, 2] = "endorsing_node"
    max_expiration: Annotated[int, Field(ge=0, le=24)] = 3
    """[epochs]"""

    def on_chain(self) -> dict[str, Any]:
        """Give the policy as `rofl.Create` and `rofl.Update` take it, or raise `BadManifest`."""
        identities = [read_base64(one) for one in self.identities()]
        return {
            "quotes": self.quotes,
            "enclaves": [
                {"mr_enclave": one[:HASH_BYTES], "mr_signer": one[HASH_BYTES:]}
                for one in identities
            ],
            "endorsements": [_atom(one) for one in self.endorsements],
            "fees": FEES.get(str(self.fees), self.fees),
            "max_expiration": self.max_expiration,
        }

    def identities(self) -> list[str]:
        """Identities in base64, in the order of the file."""
        return [one if isinstance(one, str) else one.id for one in self.enclaves]

    def set_newest(self, identity: str) -> bool:
        """Let the newest version be this identity; says whether it was another one."""
        kept = [one for one in self.enclaves if isinstance(one, Enclave) and one.version]
        changed = [Enclave(id=identity), *kept]
        is_new = identity not in self.identities() or len(changed) != len(self.enclaves)
        self.enclaves = list(changed)
        return is_new


def _atom(written: dict[str, Any]) -> dict[str, Any]:
    if len(written) != 1:
        raise BadManifest(f"an endorsement names one thing, not {sorted(written)}")
    ((name, value),) = written.items()
    match name:
        case "any" | "role_compute" | "role_observer":
            return {name: {}}
        case "node" | "entity":
            try:
                return {name: read_base64(str(value), HASH_BYTES)}
            except ValueError as error:
                raise BadManifest(f"endorsement by {name}: {error}") from error
        case "and" | "or" if isinstance(value, list):
            return {name: [_atom(one) for one in value]}
        case _:
            raise BadManifest(f"no such endorsement: {name}")


class Secret(_Section):
    """A secret, sealed to the app."""

    name: str = Field(min_length=1)
    public_name: str | None = None
    """By which the chain knows it, where that is another one."""
    value: Annotated[str, _checked(read_base64, "base64")] = Field(min_length=1)


class Machine(_Section):
    """A worker that runs an instance."""

    provider: str | None = None
    offer: str | None = None
    id: str | None = None


class Deployment(_Section):
    """An app on one chain."""

    default: bool | None = None
    app_id: Annotated[str, _checked(decode_app_id, "id of an app")] | None = None
    network: str = Field(min_length=1)
    paratime: str = Field(min_length=1)
    admin: str | None = None
    policy: Policy = Field(default_factory=Policy)
    metadata: dict[str, str] = Field(default_factory=dict)
    secrets: list[Secret] = Field(default_factory=list)
    machines: dict[str, Machine] = Field(default_factory=dict)

    def sealed_secrets(self) -> dict[str, bytes]:
        """Envelopes as the chain stores them."""
        return {one.public_name or one.name: read_base64(one.value) for one in self.secrets}

    def secret(self, name: str) -> Secret | None:
        """Find a secret by its name."""
        return next((one for one in self.secrets if one.name == name), None)


class Manifest(_Section):
    """An app."""

    name: str = Field(min_length=1)
    version: Annotated[str, _checked(_version, "version such as 0.1.0")]
    repository: str | None = None
    author: str | None = None
    license: str | None = None
    homepage: str | None = None
    description: str | None = None
    tee: Literal["tdx", "sgx"] = "tdx"
    kind: Literal["raw", "container"] = "raw"
    resources: Resources = Field(default_factory=Resources)
    artifacts: Artifacts | None = None
    deployments: dict[str, Deployment] = Field(default_factory=dict)

    def deployment_name(self, asked: str | None) -> str:
        """
        Give the name of the deployment a command is about.

        That is the one asked for, the one marked as default, that of the name `default`, or the
        only one. Raises `BadManifest` where there is none of these.
        """
        if asked is not None:
            if asked not in self.deployments:
                raise BadManifest(f"no deployment {asked!r}; run `qanat rofl create` for it first")
            return asked
        marked = [name for name, one in self.deployments.items() if one.default]
        if len(marked) > 1:
            raise BadManifest(f"several deployments are the default: {', '.join(marked)}")
        if marked:
            return marked[0]
        if DEFAULT_DEPLOYMENT in self.deployments:
            return DEFAULT_DEPLOYMENT
        if len(self.deployments) == 1:
            return next(iter(self.deployments))
        raise BadManifest("no deployment yet: run `qanat rofl create`, or name one")

    @property
    def compose_file(self) -> str:
        """Name of the Compose file of an app of containers."""
        container = None if self.artifacts is None else self.artifacts.container
        return (None if container is None else container.compose) or COMPOSE_FILE

    def metadata_of(self, deployment: Deployment) -> dict[str, str]:
        """Metadata as the chain stores it."""
        own = {
            "name": self.name,
            "version": self.version,
            "repository": self.repository,
            "author": self.author,
            "license": self.license,
            "homepage": self.homepage,
            "description": self.description,
        }
        return {
            METADATA_PREFIX + name: value for name, value in own.items() if value
        } | deployment.metadata


def find_manifest(directory: Path) -> Path:
    """Find the manifest of a directory, or raise `NoManifest`."""
    for name in FILE_NAMES:
        if (directory / name).is_file():
            return directory / name
    raise NoManifest(
        f"no {FILE_NAMES[0]} in {directory}: go to the app's directory, or run `qanat rofl init`"
    )


def load_manifest(path: Path) -> Manifest:
    """Read a manifest, or raise `BadManifest`, which names the place."""
    if path.stat().st_size > MAX_BYTES:
        raise BadManifest(f"{path} has over {MAX_BYTES} bytes")
    try:
        return Manifest.model_validate(yaml.load(path.read_text(), Loader=yaml.CSafeLoader))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise BadManifest(f"{path}: {place}: {first['msg']}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise BadManifest(f"{path} is no YAML: {error}") from None


def save_manifest(manifest: Manifest, path: Path) -> None:
    """Write a manifest in the place of the one before, whole or not at all."""
    written = manifest.model_dump(exclude_none=True, exclude_defaults=False)
    for one in written.get("deployments", {}).values():
        for name in ("metadata", "secrets", "machines"):
            if not one[name]:
                del one[name]
    beside = path.with_suffix(".tmp")
    beside.write_text(yaml.safe_dump(written, sort_keys=False))
    beside.replace(path)
