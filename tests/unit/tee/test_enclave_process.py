"""A real enclave process: the toy in tests/support, started by the mock CPU."""

import asyncio
import importlib.util
import os
import re
import socket
import subprocess
import sys
import textwrap
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from qanat import cpu
from shared.enclave.program import ChainUnknown, OtherChain
from shared.encoding.contract import client_of
from shared.errors import PeerFailed, PeerUnavailable
from shared.kit.channel import adopt_socket
from shared.kit.service import Service
from shared.tee.attestation import verify_attestation
from shared.tee.runtime import EXIT_PANIC
from shared.tee.sealing import CannotUnseal
from tests.support import mock_tee
from tests.support.toy_enclave.program import (
    CHAIN_CONTEXT,
    ToyEnclaveApi,
    ToyHostApi,
    ToyRefusal,
)

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

NOBODY = 65534
PLATFORM = mock_tee.platform()
OTHER_PLATFORM = mock_tee.platform("node-1")


def _of_process(process, what):
    return Path(f"/proc/{process.pid}/{what}").read_bytes()


def _open_files(process):
    return [str(link.readlink()) for link in Path(f"/proc/{process.pid}/fd").iterdir()]


class ToyHost:
    def __init__(self):
        self.released = asyncio.Event()
        self.released.set()

    async def double(self, number):
        await self.released.wait()
        return 2 * number


@pytest.fixture(params=[pytest.param("alone", marks=pytest.mark.long), "forked"])
def forks(request):
    """None, or what forks enclaves from a process that has loaded their code."""
    if request.param == "alone":
        yield None
        return
    forks = cpu.EnclaveForks()
    yield forks
    forks.close()


@pytest.fixture
def toy(tmp_path, forks):
    """Starts toy enclaves whose code lies below `tmp_path`."""
    root = mock_tee.lay_out_toy(tmp_path / "code")
    config = mock_tee.save_config(tmp_path / "enclave.cbor")

    @asynccontextmanager
    async def start(platform=PLATFORM, *, host=None, config=config, directory="enclave", **options):
        host_end, enclave_end = socket.socketpair()
        with enclave_end:
            process = await cpu.start_enclave(
                "toy",
                config_path=config,
                platform=platform,
                enclave_dir=tmp_path / directory,
                host_socket=enclave_end,
                log_path=tmp_path / "log",
                root=root,
                forks=forks,
                **options,
            )
        channel = await adopt_socket(host_end, "toy", Service((ToyHostApi, host or ToyHost())))
        try:
            yield client_of(ToyEnclaveApi, channel), process
        finally:
            channel.close()
            await process.stop()

    return start


async def test_enclave_attests_its_measured_code_at_the_height_it_verified(toy):
    async with toy() as (enclave, process):
        await enclave.observe(mock_tee.proven({CHAIN_CONTEXT: b"c0ffee"}, height=7))
        capability = await enclave.attest(mock_tee.NODE_ID)
        assert capability.attestation.height == 7
        verify_attestation(
            capability,
            node_id=mock_tee.NODE_ID,
            constraints=mock_tee.constraints(process.identity),
            root_ca=mock_tee.pki().root_ca,
            now_s=mock_tee.NOW_S,
            min_height=7,
            max_height=7,
        )


async def test_enclave_attests_nothing_before_it_has_seen_the_chain(toy):
    async with toy() as (enclave, _):
        with pytest.raises(ChainUnknown):
            await enclave.attest(mock_tee.NODE_ID)
        with pytest.raises(OtherChain):
            await enclave.observe(mock_tee.proven({}))


async def test_enclave_stays_with_the_chain_it_saw_first(toy):
    async with toy() as (enclave, _):
        await enclave.observe(mock_tee.proven({CHAIN_CONTEXT: b"c0ffee"}))
        await enclave.observe(mock_tee.proven({}, height=6))
        with pytest.raises(OtherChain):
            await enclave.observe(mock_tee.proven({CHAIN_CONTEXT: b"decaf"}, height=7))


async def test_sealed_blob_survives_a_restart(toy):
    async with toy() as (enclave, _):
        sealed = await enclave.seal(b"secret")
    async with toy() as (enclave, _):
        assert await enclave.unseal(sealed) == b"secret"


async def test_sealed_blob_does_not_open_on_another_platform_or_under_another_measurement(
    toy, tmp_path
):
    other_config = mock_tee.save_config(tmp_path / "other.cbor", chain_id="another")
    async with toy() as (enclave, _):
        sealed = await enclave.seal(b"secret")
    async with toy(OTHER_PLATFORM) as (enclave, _):
        with pytest.raises(CannotUnseal):
            await enclave.unseal(sealed)
    async with toy(config=other_config) as (enclave, _):
        with pytest.raises(CannotUnseal):
            await enclave.unseal(sealed)


async def test_changed_code_is_another_enclave(toy, tmp_path):
    async with toy() as (_, process):
        before = process.identity
    program = tmp_path / "code" / "services" / "toy" / "enclave" / "program.py"
    program.write_text(program.read_text() + "\n")
    async with toy() as (_, process):
        assert process.identity.mr_enclave != before.mr_enclave


def _forge_bytecode(source):
    """Put the bytecode of other code where Python looks for it."""
    forged = source.read_text().replace("return self.rak.public_key", 'return b"forged".ljust(32)')
    assert forged != source.read_text()
    modified = source.stat()
    for optimization in ("", 1, 2):
        cached = Path(importlib.util.cache_from_source(source, optimization=optimization))
        cached.parent.mkdir(exist_ok=True)
        code = importlib._bootstrap_external._code_to_timestamp_pyc(
            compile(forged, str(source), "exec"), int(modified.st_mtime), modified.st_size
        )
        cached.write_bytes(code)


async def test_bytecode_beside_the_measured_files_is_not_run(toy, tmp_path):
    _forge_bytecode(tmp_path / "code" / "services" / "toy" / "enclave" / "program.py")
    async with toy() as (enclave, process):
        assert await enclave.fetch_rak() != b"forged".ljust(32)
        assert process.identity == _measured(tmp_path)


async def test_code_that_changes_after_it_was_measured_is_not_run(toy, tmp_path, monkeypatch):
    source = tmp_path / "code" / "services" / "toy" / "enclave" / "program.py"
    honest = source.read_text()
    expected = _measured(tmp_path)

    def change_and(spawn):
        def changed(*command, **options):
            source.write_text(honest.replace("return self.rak.public_key", 'return b"f" * 32'))
            return spawn(*command, **options)

        return changed

    for module, name in ((asyncio, "create_subprocess_exec"), (subprocess, "Popen")):
        monkeypatch.setattr(module, name, change_and(getattr(module, name)))
    async with toy() as (enclave, process):
        assert await enclave.fetch_rak() != b"f" * 32
        assert process.identity == expected


async def test_code_that_changes_between_two_starts_runs_in_the_second_alone(toy, tmp_path):
    source = tmp_path / "code" / "services" / "toy" / "enclave" / "program.py"
    async with toy() as (enclave, before):
        assert await enclave.fetch_rak() != b"f" * 32
    changed = source.read_text().replace("return self.rak.public_key", 'return b"f" * 32')
    source.write_text(changed)
    async with toy() as (enclave, process):
        assert await enclave.fetch_rak() == b"f" * 32
        assert process.identity == _measured(tmp_path) != before.identity


async def test_enclaves_of_one_code_share_neither_keys_nor_chance(toy):
    async with toy() as (first, _), toy(OTHER_PLATFORM, directory="other") as (second, _):
        assert await first.fetch_rak() != await second.fetch_rak()
        assert await first.seal(b"the same") != await second.seal(b"the same")


async def test_code_of_ours_that_was_not_measured_cannot_be_imported(toy):
    async with toy() as (enclave, _):
        for name in ("shared.kit.channel", "services.keymanager.node", "services.toy.other"):
            assert (await enclave.attempt(f"import {name}")).endswith("was not measured")


def _measured(tmp_path):
    config = (tmp_path / "enclave.cbor").read_bytes()
    return cpu.measure_enclave("toy", config, root=tmp_path / "code")


async def test_enclave_calls_back_to_its_host_while_it_serves(toy):
    async with toy() as (enclave, _):
        assert await enclave.quadruple(3) == 12


async def test_many_requests_and_callbacks_run_at_once(toy):
    async with toy() as (enclave, _):
        results = await asyncio.gather(*(enclave.quadruple(number) for number in range(200)))
        assert results == [4 * number for number in range(200)]


async def test_a_concurrent_method_does_not_hold_up_others(toy):
    host = ToyHost()
    host.released.clear()
    async with toy(host=host) as (enclave, _):
        waiting = asyncio.ensure_future(enclave.wait_for_host())
        assert len(await enclave.seal(b"")) > 0
        assert not waiting.done()
        host.released.set()
        assert await waiting == 0


async def test_typed_refusal_reaches_the_host_as_the_same_class(toy):
    async with toy() as (enclave, _):
        with pytest.raises(ToyRefusal, match="no"):
            await enclave.refuse()


async def test_a_bug_is_reported_by_place_and_its_message_is_kept_out_of_the_log(toy, tmp_path):
    async with toy() as (enclave, _):
        with pytest.raises(PeerFailed):
            await enclave.fail()
        log = (tmp_path / "log").read_text()
        assert "RuntimeError" in log
        assert "program.py" in log
        assert "plaintext" not in log


async def test_panic_of_a_reader_is_answered_and_leaves_the_enclave_serving(toy, tmp_path):
    async with toy() as (enclave, process):
        for _ in range(8):
            with pytest.raises(PeerFailed):
                await asyncio.wait_for(enclave.panic_aside(), 5)
        assert await enclave.quadruple(5) == 20
        assert process.returncode is None
    log = (tmp_path / "log").read_text()
    assert "ToyPanic" in log
    assert "plaintext" not in log


async def test_panic_while_state_changes_is_answered_and_ends_the_enclave(toy):
    async with toy() as (enclave, process):
        with pytest.raises((PeerFailed, PeerUnavailable)):
            await asyncio.wait_for(enclave.panic(), 5)
        assert await asyncio.wait_for(process.wait(), 5) == EXIT_PANIC


@pytest.mark.parametrize("what", ["socket", "unix socket", "program", "trace"])
async def test_system_calls_that_an_enclave_does_not_need_are_refused(toy, what):
    async with toy() as (enclave, _):
        assert await enclave.attempt(what) == "errno 1"


async def test_enclave_is_not_dumpable_and_cannot_gain_privileges(toy):
    async with toy() as (enclave, process):
        await enclave.fetch_rak()
        status = _of_process(process, "status").decode()
        assert re.search(r"^NoNewPrivs:\s*1$", status, re.MULTILINE)
        assert re.search(r"^Seccomp:\s*2$", status, re.MULTILINE)
        limits = _of_process(process, "limits").decode()
        assert re.search(r"^Max core file size\s+0\s+0\s", limits, re.MULTILINE)


async def test_environment_and_open_files_hold_only_what_an_enclave_needs(toy, forks, monkeypatch):
    monkeypatch.setenv("QANAT_SECRET_OF_THE_HOST", "1")
    reading, writing = os.pipe()
    os.set_inheritable(writing, True)
    try:
        async with toy() as (enclave, process):
            await enclave.fetch_rak()
            environment = _of_process(process, "environ").split(b"\0")
            names = {entry.partition(b"=")[0].decode() for entry in environment if entry}
            # Of a forked process the system shows what it was forked with.
            variables = {"LC_ALL", "QANAT_HOST_FD", "QANAT_PLATFORM_FD", "QANAT_ENCLAVE_DIR"}
            assert names == (variables if forks is None else {"LC_ALL"})
            assert await enclave.attempt("environment") == ",".join(sorted(variables))
            files = _open_files(process)
            assert sum(name.startswith("socket:") for name in files) == 2
            assert not any(name.startswith("pipe:") for name in files)
    finally:
        os.close(reading)
        os.close(writing)


def _may_run_python(uid):
    try:
        subprocess.run([sys.executable, "-c", ""], user=uid, cwd="/", check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


@pytest.mark.skipif(os.geteuid() != 0, reason="another user id needs root")
async def test_enclave_runs_under_a_user_of_its_own(toy, tmp_path):
    if not _may_run_python(NOBODY):
        pytest.skip("other users may not run this interpreter")
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == 0 and parent.name.startswith("pytest"):
            parent.chmod(0o755)
    tmp_path.chmod(0o755)
    async with toy(user=cpu.EnclaveUser(NOBODY, NOBODY)) as (enclave, process):
        sealed = await enclave.seal(b"secret")
        assert await enclave.unseal(sealed) == b"secret"
        status = _of_process(process, "status").decode()
        assert re.search(rf"^Uid:(\s+{NOBODY}){{4}}$", status, re.MULTILINE)
        assert re.search(rf"^Gid:(\s+{NOBODY}){{4}}$", status, re.MULTILINE)
        assert re.search(r"^Groups:\s*$", status, re.MULTILINE)
        assert (tmp_path / "enclave").stat().st_uid == NOBODY


async def test_enclave_ends_when_its_host_is_gone(toy):
    async with toy() as (enclave, process):
        await enclave.fetch_rak()
        enclave._transport.close()
        assert await asyncio.wait_for(process.wait(), 5) == 0


async def test_host_learns_that_its_enclave_is_gone(toy):
    async with toy() as (enclave, process):
        await enclave.fetch_rak()
        os.kill(process.pid, 9)
        assert await process.wait() == -9
        with pytest.raises(PeerUnavailable):
            await enclave.fetch_rak()


async def test_keys_are_fresh_at_each_start(toy):
    async with toy() as (enclave, _):
        first = await enclave.fetch_rak()
    async with toy() as (enclave, _):
        assert await enclave.fetch_rak() != first


async def test_a_replayed_network_repeats_the_keys_of_each_start(toy):
    async def raks(directory):
        keys = []
        for _ in range(2):
            async with toy(directory=directory, seed="5eed" * 16) as (enclave, _):
                keys.append(await enclave.fetch_rak())
        return keys

    first = await raks("first")
    assert first == await raks("second")
    assert len(set(first)) == 2


SPY = """
import os, sys, ctypes, resource
sys.path.insert(0, {root!r})
from shared.tee.confinement import confine
libc = ctypes.CDLL(None, use_errno=True)
secret = ctypes.create_string_buffer(b"the secret of the enclave")
parent_reads, child_writes = os.pipe()
ends_here, ends_there = os.pipe()
enclave = os.fork()
if enclave == 0:
    os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
    libc.prctl(4, 1, 0, 0, 0)
    if {confined}:
        confine()
    os.write(child_writes, b"!")
    os.close(ends_there)
    os.read(ends_here, 1)
    os._exit(0)
os.close(ends_here)
os.read(parent_reads, 1)
os.setresgid(65534, 65534, 65534); os.setresuid(65534, 65534, 65534)
try:
    with open(f"/proc/{{enclave}}/mem", "rb", buffering=0) as memory:
        memory.seek(ctypes.addressof(secret))
        print("read", memory.read(25).decode())
except PermissionError:
    print("memory refused")
print("traced" if libc.ptrace(16, enclave, 0, 0) == 0 else "trace refused")
os.kill(enclave, 9)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="changing to another user id needs root")
@pytest.mark.parametrize(
    ("confined", "expected"),
    [
        (False, ["read the secret of the enclave", "traced"]),
        (True, ["memory refused", "trace refused"]),
    ],
)
def test_a_process_of_the_same_user_reads_and_traces_no_confined_enclave(confined, expected):
    script = textwrap.dedent(SPY).format(root=str(cpu.code_root()), confined=confined)
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=True
    )
    if not confined and result.stdout.split("\n")[0] == "memory refused":
        pytest.skip("this system lets no process look into another of its user")
    assert result.stdout.splitlines() == expected
