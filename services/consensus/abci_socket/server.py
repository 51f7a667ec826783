"""
Serves the application on the ABCI socket.

A message is its length as a varint and one `Request` or `Response`. The engine opens several
connections, for consensus, pool, queries and snapshots; requests of all are answered one after the
other, since the application takes one call at a time. Source: cometbft abci/client.
"""

import asyncio
import contextlib
import os
from pathlib import Path
from typing import assert_never

import structlog
from google.protobuf.message import DecodeError

from services.consensus.abci import Application
from services.consensus.abci_socket import abci_pb2 as pb
from services.consensus.abci_socket.messages import (
    MalformedRequest,
    read_block,
    read_genesis,
    show_block,
    show_info,
    show_init,
    show_query,
    show_transaction,
)
from shared.errors import Rejected

log = structlog.get_logger()

MAX_MESSAGE_BYTES = 128 * 1024 * 1024
"""Longest message [bytes]: a block of 100 MiB, the most that the engine's genesis may allow."""
MAX_VARINT_BYTES = 5
ACCEPT, REFUSE = 1, 2
RECHECK = 1
QUERY_FAILED = 1


class AbciServer:
    """Answers one engine until it closes its connections, or the application fails."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._failure: BaseException | None = None
        self._failed = asyncio.Event()
        self._talks: set[asyncio.Task[None]] = set()

    async def serve(self, path: Path) -> None:
        """
        Listen on a Unix socket that only its owner may open, until cancelled.

        Raises
        ------
        BaseException
            What the application failed with: a validator that cannot go on must stop.
        """
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - before anything is served
        before = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._begin, path)
        finally:
            os.umask(before)
        try:
            await self._failed.wait()
        finally:
            server.close()
            for talk in self._talks:
                talk.cancel()
            await asyncio.gather(*self._talks, return_exceptions=True)
        assert self._failure is not None  # noqa: S101
        raise self._failure

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (request := await read_message(reader)) is not None:
                response = self._answer(request)
                writer.write(encode_message(response))
                if request.WhichOneof("value") == "flush":
                    await writer.drain()
                if response.WhichOneof("value") == "exception":
                    break
        except MalformedRequest as error:
            log.warning("engine_cut_off", reason=error.message)
        except ConnectionError as error:
            log.debug("engine_gone", reason=str(error))
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def _answer(self, request: pb.Request) -> pb.Response:
        try:
            return answer(self._application, request)
        except Rejected as error:
            return pb.Response(exception=pb.Text(text=error.message))
        except BaseException as bug:  # noqa: BLE001 - whoever serves must hear of it
            self._failure = bug
            self._failed.set()
            return pb.Response(exception=pb.Text(text=f"a bug: {type(bug).__name__}"))


async def read_message(reader: asyncio.StreamReader) -> pb.Request | None:
    """
    Read one request; None where the other side has closed.

    Raises
    ------
    MalformedRequest
        It is too long, or no request.
    """
    try:
        untrusted = await reader.readexactly(await read_length(reader))
        return pb.Request.FromString(untrusted)
    except asyncio.IncompleteReadError:
        return None
    except DecodeError as error:
        raise MalformedRequest(f"no request: {error}") from error


async def read_length(reader: asyncio.StreamReader) -> int:
    """Read the length that stands before a message [bytes], or raise `MalformedRequest`."""
    length = 0
    for position in range(MAX_VARINT_BYTES):
        (byte,) = await reader.readexactly(1)
        length |= (byte & 0x7F) << (7 * position)
        if byte < 0x80:
            if length > MAX_MESSAGE_BYTES:
                raise MalformedRequest(f"a message of {length} bytes, at most {MAX_MESSAGE_BYTES}")
            return length
    raise MalformedRequest("the length of a message has at most 5 bytes")


def encode_message(message: pb.Request | pb.Response) -> bytes:
    """Give a message with its length."""
    body = message.SerializeToString()
    head, rest = bytearray(), len(body)
    while rest >= 0x80:
        head.append(rest & 0x7F | 0x80)
        rest >>= 7
    head.append(rest)
    return bytes(head) + body


def answer(application: Application, request: pb.Request) -> pb.Response:
    """Ask the application what the engine asks."""
    match request.WhichOneof("value"):
        case "echo":
            return pb.Response(echo=request.echo)
        case "flush":
            return pb.Response(flush=pb.Empty())
        case "info":
            return pb.Response(info=show_info(application.info()))
        case "init_chain":
            init = application.init_chain(read_genesis(request.init_chain))
            return pb.Response(init_chain=show_init(init))
        case "query":
            return pb.Response(query=_query(application, request.query))
        case "check_tx":
            checked = application.check_tx(request.check_tx.tx, request.check_tx.kind == RECHECK)
            return pb.Response(check_tx=show_transaction(checked))
        case "prepare_proposal":
            asked = request.prepare_proposal
            chosen = application.prepare_proposal(read_block(asked), asked.max_tx_bytes)
            return pb.Response(prepare_proposal=pb.ResponsePrepareProposal(txs=chosen))
        case "process_proposal":
            is_good = application.process_proposal(read_block(request.process_proposal))
            return pb.Response(process_proposal=_verdict(ACCEPT if is_good else REFUSE))
        case "finalize_block":
            result = application.finalize_block(read_block(request.finalize_block))
            return pb.Response(finalize_block=show_block(result))
        case "commit":
            retain = application.commit()
            return pb.Response(commit=pb.ResponseCommit(retain_height=retain))
        # No state is handed over in snapshots, and votes carry nothing beside themselves.
        case "list_snapshots":
            return pb.Response(list_snapshots=pb.Empty())
        case "offer_snapshot":
            return pb.Response(offer_snapshot=_verdict(REFUSE))
        case "load_snapshot_chunk":
            return pb.Response(load_snapshot_chunk=pb.Empty())
        case "apply_snapshot_chunk":
            return pb.Response(apply_snapshot_chunk=_verdict(REFUSE))
        case "extend_vote":
            return pb.Response(extend_vote=pb.Empty())
        case "verify_vote_extension":
            return pb.Response(verify_vote_extension=_verdict(ACCEPT))
        case None:
            raise MalformedRequest("the engine asks what this application does not know")
        case unreachable:
            assert_never(unreachable)


def _verdict(status: int) -> pb.ResponseVerdict:
    return pb.ResponseVerdict(status=status)


def _query(application: Application, asked: pb.RequestQuery) -> pb.ResponseQuery:
    try:
        return show_query(asked.data, application.query(asked.path, asked.data, asked.height))
    except Rejected as error:
        return pb.ResponseQuery(code=QUERY_FAILED, log=error.message, codespace=error.module)
