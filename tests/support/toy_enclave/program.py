"""The program, and the messages between it and its host."""

import ctypes
import importlib
import os
import socket
import subprocess
from dataclasses import dataclass
from typing import Protocol

from shared.enclave.program import EnclaveProgram
from shared.encoding.record import Bytes32, decode_record
from shared.errors import Rejected
from shared.rules import state_keys
from shared.tee.runtime import EnclaveContext
from shared.tee.transport import sync_client_of
from shared.types.attestation import CapabilityTee
from shared.types.proof import ProvenBytes, ProvenState

CHAIN_CONTEXT = state_keys.CHAIN_CONTEXT


class ToyRefusal(Rejected, module="toy", code=1):
    """What the toy refuses with."""


class ToyHostApi(Protocol):
    """Messages of the enclave to its host."""

    def double(self, number: int) -> int: ...


class ToyEnclaveApi(Protocol):
    """Messages of the host to the enclave."""

    def observe(self, untrusted: ProvenState) -> int: ...

    def attest(self, node_id: Bytes32) -> CapabilityTee: ...

    def seal(self, plaintext: bytes) -> bytes: ...

    def unseal(self, sealed: bytes) -> bytes: ...

    def quadruple(self, number: int) -> int: ...

    def wait_for_host(self) -> int: ...

    def refuse(self) -> None: ...

    def fail(self) -> None: ...

    def panic(self) -> None: ...

    def panic_aside(self) -> None: ...

    def attempt(self, what: str) -> str: ...

    def fetch_rak(self) -> Bytes32: ...


@dataclass(frozen=True)
class Believed:
    height: int
    time_ns: int
    values: dict
    incarnation: int = 0


class TrustingLightClient:
    """Believes the header; verification of headers has tests of its own."""

    def verify(self, untrusted: ProvenState) -> Believed:
        header = untrusted.light_block.header
        return Believed(header.height, header.time_ns, dict(untrusted.items))

    def verify_encoded(self, untrusted: ProvenBytes) -> Believed:
        return self.verify(decode_record(ProvenState, untrusted))


class ToyPanic(BaseException):
    """As PyO3 raises a panic of native code."""


class ToyProgram(EnclaveProgram):
    def __init__(self, context: EnclaveContext) -> None:
        super().__init__(context)
        self._host = sync_client_of(ToyHostApi, context.host)

    def _new_light_client(self):
        return TrustingLightClient()

    def observe(self, untrusted):
        return super().observe(untrusted).height

    def seal(self, plaintext: bytes) -> bytes:
        return self.sealer.seal(b"toy", plaintext)

    def unseal(self, sealed: bytes) -> bytes:
        return self.sealer.unseal(b"toy", sealed)

    def quadruple(self, number: int) -> int:
        return self._host.double(self._host.double(number))

    def wait_for_host(self) -> int:
        return self._host.double(0)

    def refuse(self) -> None:
        raise ToyRefusal("no")

    def fail(self) -> None:
        raise RuntimeError("plaintext that no log may show")

    def panic(self) -> None:
        raise ToyPanic("plaintext that no log may show")

    panic_aside = panic

    def attempt(self, what: str) -> str:
        try:
            if what.startswith("import "):
                importlib.import_module(what.removeprefix("import "))
            return _ATTEMPTS[what]()
        except ModuleNotFoundError as error:
            return str(error)
        except OSError as error:
            return f"errno {error.errno}"

    def fetch_rak(self) -> bytes:
        return self.rak.public_key


def _open_socket() -> str:
    socket.socket(socket.AF_INET, socket.SOCK_STREAM).close()
    return "done"


def _open_unix_socket() -> str:
    socket.socket(socket.AF_UNIX, socket.SOCK_STREAM).close()
    return "done"


def _run_program() -> str:
    subprocess.run(["/bin/true"], check=True)
    return "done"


def _trace() -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    return "done"


def _name_environment() -> str:
    return ",".join(sorted(os.environ))


_ATTEMPTS = {
    "environment": _name_environment,
    "socket": _open_socket,
    "unix socket": _open_unix_socket,
    "program": _run_program,
    "trace": _trace,
}
