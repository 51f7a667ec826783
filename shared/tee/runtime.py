"""
The life of an enclave process: confined, then asked by its host until the host goes away.

Threads take turns at reading the host's socket. Who reads a request passes the turn on and answers
it himself, since a hop to another thread costs as much as a short answer. Requests that the program
calls concurrent run side by side, all others one after the other. While it serves, a program may
ask the host back and wait; who reads brings the answer. The messages are those of the program's
contract, in frames, so the list of what crosses the boundary is one Protocol class.
"""

import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from shared.crypto.entropy import Entropy, SeededEntropy, SystemEntropy
from shared.encoding import frames
from shared.encoding.contract import serve_call_now
from shared.encoding.record import decode_record
from shared.errors import PeerFailed, PeerUnavailable, QanatError
from shared.tee.config import EnclaveConfig
from shared.tee.confinement import confine
from shared.tee.memory import free_at_once
from shared.tee.platform import PlatformApi
from shared.tee.transport import SocketTransport, SyncTransport, sync_client_of

HOST_FD = "QANAT_HOST_FD"
PLATFORM_FD = "QANAT_PLATFORM_FD"
ENCLAVE_DIR = "QANAT_ENCLAVE_DIR"
WORKERS = 4
"""Concurrent requests at a time: what they do in native code runs in parallel."""
READ_BYTES = 64 * 1024
"""How much is read at once [bytes]: frames that came together are."""

HOST_TIMEOUT_S = 10.0
"""
How long an enclave waits for its host's answer [s].

The host gives up on another node much sooner. One that does not answer at all must not keep the
threads of its enclave, and what they hold.
"""
EXIT_PANIC = 70
"""Exit status after a panic while state was changed: the launcher starts the node anew."""
LAST_WORDS_S = 0.5
"""How long the end of the process waits for a thread [s]."""


@dataclass(frozen=True, slots=True)
class EnclaveContext:
    """What a program gets to work with."""

    config: EnclaveConfig
    platform: PlatformApi
    entropy: Entropy
    directory: Path
    """The enclave's own directory on a disk that it does not trust."""
    host: SyncTransport
    """Asks the host; see `sync_client_of`."""
    shared_seed: bytes | None = None
    """What all enclaves of a network that replays have; None in others."""
    cpu: SyncTransport | None = None
    """Asks the CPU what it answers to one kind of enclave only, such as `DomainApi`."""


def run_enclave(
    contract: type,
    build: Callable[[EnclaveContext], Any],
    environ: Mapping[str, str],
    *,
    concurrent: frozenset[str] = frozenset(),
    workers: int = WORKERS,
    keeps: frozenset[str] = frozenset(),
) -> None:
    """
    Be an enclave until the host closes its socket.

    Parameters
    ----------
    contract : `type`
        Protocol class with the host's messages to the enclave.
    build : `Callable`
        Makes the object that fulfils the contract.
    environ : `Mapping`
        `QANAT_HOST_FD`, `QANAT_PLATFORM_FD`, `QANAT_ENCLAVE_DIR`, as the launcher sets them.
    concurrent : `frozenset`
        Names of the messages that may run side by side, and beside one that is not in the set.
    keeps : `frozenset`
        System calls of `confinement.REFUSED` that this kind of enclave needs.
    """
    host_socket = socket.socket(fileno=int(environ[HOST_FD]))
    platform_socket = socket.socket(fileno=int(environ[PLATFORM_FD]))
    confine(keeps)
    free_at_once()
    cpu = SocketTransport(platform_socket, "the mock CPU")
    platform = sync_client_of(PlatformApi, cpu)
    seed = platform.chance_seed()
    connection = HostConnection(host_socket)
    context = EnclaveContext(
        config=decode_record(EnclaveConfig, platform.config()),
        platform=platform,
        entropy=SystemEntropy() if seed is None else SeededEntropy(seed),
        directory=Path(environ[ENCLAVE_DIR]),
        host=connection,
        shared_seed=platform.shared_seed(),
        cpu=cpu,
    )
    connection.serve(contract, build(context), concurrent=concurrent, workers=workers)


class HostConnection:
    """The socket to the host, in both directions. Is a `SyncTransport`."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sending = threading.Lock()
        self._asking = threading.Lock()
        self._next_id = 1
        self._waiting: dict[int, SimpleQueue[frames.Frame | None]] = {}
        self._closed = False
        self._has_panicked = False
        self._reading = threading.Lock()
        self._decoder = frames.FrameDecoder()
        self._has_ended = threading.Event()

    def call(self, method: str, body: bytes) -> bytes:
        """Ask the host from a worker thread, and wait."""
        answer: SimpleQueue[frames.Frame | None] = SimpleQueue()
        with self._asking:
            if self._closed:
                raise PeerUnavailable("the host closed the connection")
            id_, self._next_id = self._next_id, self._next_id + 1
            self._waiting[id_] = answer
        try:
            self._send(frames.Request(id_, method, body))
            frame = answer.get(timeout=HOST_TIMEOUT_S)
        except Empty:
            raise PeerUnavailable(f"the host does not answer {method}") from None
        finally:
            self._waiting.pop(id_, None)
        match frame:
            case frames.Response(body=result):
                return result
            case frames.Failure() as failure:
                raise failure.error()
            case _:
                raise PeerUnavailable("the host closed the connection")

    def serve(
        self, contract: type, implementation: Any, *, concurrent: frozenset[str], workers: int
    ) -> None:
        """Read until the host closes the socket; answer its requests on threads."""
        in_order, side_by_side = _Lane(1), _Lane(workers)

        def work() -> None:
            while (found := self._next_request(concurrent, in_order, side_by_side)) is not None:
                lane = found[0]
                request: frames.Request | None = found[1]
                while request is not None and not self._closed:
                    is_whole = self._answer(contract, implementation, request)
                    if not is_whole and lane is in_order:
                        # Half of a change may be in memory; every store survives an end like this.
                        self._has_panicked = self._closed = True
                        self._sock.shutdown(socket.SHUT_RDWR)
                    request = lane.finish()

        # As many as can be busy, and one that reads.
        threads = [threading.Thread(target=work, daemon=True) for _ in range(workers + 2)]
        for thread in threads:
            thread.start()
        self._has_ended.wait()
        self._close()
        for thread in threads:
            # Who is at something long does not hold up the end: every store of an enclave survives
            # being killed.
            thread.join(LAST_WORDS_S)
        if self._has_panicked:
            sys.exit(EXIT_PANIC)

    def _next_request(
        self, concurrent: frozenset[str], in_order: "_Lane", side_by_side: "_Lane"
    ) -> "tuple[_Lane, frames.Request] | None":
        """Read until there is a request that this thread may answer; None at the end."""
        with self._reading:
            while (frame := self._read_frame()) is not None:
                match frame:
                    case frames.Request(method=method):
                        lane = side_by_side if method in concurrent else in_order
                        if lane.begin(frame):
                            return lane, frame
                    case frames.Response(id=id_) | frames.Failure(id=id_):
                        waiting = self._waiting.pop(id_, None)
                        if waiting is not None:
                            waiting.put(frame)
                    case _:
                        # Cancel: what is under way in an enclave runs to its end.
                        pass
        return None

    def _read_frame(self) -> frames.Frame | None:
        """Read the next frame; None at the end, whoever reads after that."""
        while not self._has_ended.is_set():
            try:
                taken = self._decoder.take()
                if taken is not None:
                    return taken[0]
                received = self._sock.recv(READ_BYTES)
            except (OSError, frames.MalformedFrame):
                received = b""
            if received:
                self._decoder.add(received)
            else:
                self._has_ended.set()
        return None

    def _answer(self, contract: type, implementation: Any, request: frames.Request) -> bool:
        """
        Answer a request, whatever happens; False after a panic.

        A panic of native code and its like are no `Exception`. A thread that died of one would
        leave its host waiting for ever, and all that come after it.
        """
        answer: frames.Frame
        is_whole = True
        try:
            body = serve_call_now(contract, implementation, request.method, request.body)
            answer = frames.Response(request.id, body)
        except QanatError as error:
            answer = frames.Failure.of(request.id, error)
        except BaseException as bug:  # noqa: BLE001 - the main loop of a worker
            is_whole = isinstance(bug, Exception)
            answer = frames.Failure.of(request.id, failed_by_a_bug(request.method, bug))
        try:
            self._send(answer)
        except PeerUnavailable:
            # The host is gone; the reader ends the process.
            return is_whole
        return is_whole

    def _send(self, frame: frames.Frame) -> None:
        encoded = frames.encode_frame(frame)
        try:
            with self._sending:
                self._sock.sendall(encoded)
        except OSError as error:
            raise PeerUnavailable(f"the host does not read: {error}") from error

    def _close(self) -> None:
        with self._asking:
            self._closed = True
            waiting, self._waiting = self._waiting, {}
        for answer in waiting.values():
            answer.put(None)


class _Lane:
    """Requests of which so many at most run at a time; the others wait in their order."""

    def __init__(self, width: int) -> None:
        self._free = width
        self._waiting: deque[frames.Request] = deque()
        self._lock = threading.Lock()

    def begin(self, request: frames.Request) -> bool:
        """Say whether a request may run now; else it waits for who is at work."""
        with self._lock:
            if self._free:
                self._free -= 1
                return True
            self._waiting.append(request)
            return False

    def finish(self) -> frames.Request | None:
        """Take the next request that waits, or leave the lane."""
        with self._lock:
            if self._waiting:
                return self._waiting.popleft()
            self._free += 1
            return None


def failed_by_a_bug(method: str, bug: BaseException) -> PeerFailed:
    """Report a bug, and give the error that whoever asked hears of."""
    report_bug(method, bug)
    return PeerFailed(f"{method} failed by a bug; see the log of the enclave")


def report_bug(method: str, bug: BaseException) -> None:
    """Write where a bug struck to standard error; its message might hold plaintext, so not that."""
    places = []
    step = bug.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        places.append(f"{code.co_filename}:{step.tb_lineno} {code.co_name}")
        step = step.tb_next
    sys.stderr.write(f"enclave bug in {method}: {type(bug).__name__} at {' > '.join(places)}\n")
    sys.stderr.flush()
