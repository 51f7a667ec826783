"""The compute enclave as its own process, started by the mock CPU, under a host that lies."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from qanat import cpu
from services.compute.enclave.protocol import ComputeEnclaveApi, ComputeHostApi
from shared.encoding import cbor
from shared.encoding.contract import client_of, methods_of
from shared.encoding.record import decode_record, encode_record
from shared.errors import PeerFailed, PeerUnavailable, QanatError
from shared.kit.channel import adopt_socket
from shared.kit.service import Service
from shared.rules import state_keys
from shared.types.evm import Account, AccountQuery, EvmQuery
from shared.types.genesis import GenesisValidator
from tests.support import mock_tee
from tests.support.chains import CHAIN_ID, SIGNER
from tests.support.compute_nodes import RICH, WEI, raw
from tests.support.enclave_bench import first_changes
from tests.support.keymanager import PARATIME_ID
from tests.support.paratime_chain import ParatimeChain, chain_genesis

pytestmark = [pytest.mark.slow, pytest.mark.enable_socket]

HOSTILE_VALUES = (None, 0, -1, 2**64 - 1, b"", b"\xff" * 100, "text", [], {}, {"round": -1}, [[[]]])
HOSTILE_BODIES = (*map(cbor.encode, HOSTILE_VALUES), b"", b"\xff", b"\xa1", b"\x81" * 5_000)


class NoKeyManager:
    async def call_key_manager(self, session_id, message):
        raise PeerUnavailable("there is none")


@pytest.fixture
def chain():
    return ParatimeChain(chain_genesis((), ((RICH, 1000 * WEI),), confidential=False))


@pytest.fixture
def start(tmp_path):
    config = mock_tee.save_config(
        tmp_path / "enclave.cbor",
        runtime_id=PARATIME_ID,
        chain_id=CHAIN_ID,
        validators=(GenesisValidator(SIGNER.public_key, 10),),
        runtime="evm",
    )

    @asynccontextmanager
    async def start():
        host_end, enclave_end = socket.socketpair()
        with enclave_end:
            process = await cpu.start_enclave(
                "compute",
                config_path=config,
                platform=mock_tee.platform(),
                enclave_dir=tmp_path / "enclave",
                host_socket=enclave_end,
                log_path=tmp_path / "log",
            )
        try:
            yield host_end, process
        finally:
            host_end.close()
            await process.stop()

    return start


def proof(chain):
    keys = (
        state_keys.CHAIN_CONTEXT,
        state_keys.EPOCH,
        state_keys.runtime_key(PARATIME_ID),
        state_keys.last_block_key(PARATIME_ID),
    )
    return chain.prove(keys)


async def test_malformed_messages_are_refused_and_the_enclave_goes_on(start, chain, tmp_path):
    async with start() as (host_end, process):
        channel = await adopt_socket(host_end, "enclave", Service((ComputeHostApi, NoKeyManager())))
        for _ in range(2):
            for method in (*methods_of(ComputeEnclaveApi), "no_such_method"):
                for body in HOSTILE_BODIES:
                    try:
                        async with asyncio.timeout(10):
                            await channel.call(method, body)
                    except PeerFailed:
                        raise
                    except QanatError:
                        pass
            enclave = client_of(ComputeEnclaveApi, channel)
            await enclave.initialize(proof(chain))
        await enclave.apply(tuple(first_changes(chain)))
        executed = await enclave.execute(2, (raw(0), b"junk"))
        chain.finalize(executed.header.state_root, executed.header.io_root)
        assert (await enclave.advance(encode_record(chain.prove_head()))).is_level
        args = encode_record(AccountQuery(RICH))
        assert decode_record(Account, await enclave.query(EvmQuery.ACCOUNT, args, 2)).nonce == 1
        assert process.returncode is None
        channel.close()
    assert "bug" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff" * 64,
        (2**31).to_bytes(4, "big") + b"x",
        b"\x00\x00\x00\x0e\x84\x00\x01\x68describe\x00\xff",
    ],
)
async def test_what_is_no_frame_ends_the_enclave_at_once(start, sent):
    async with start() as (host_end, process):
        await asyncio.to_thread(host_end.sendall, sent)
        async with asyncio.timeout(5):
            await process.wait()
        assert process.returncode is not None
