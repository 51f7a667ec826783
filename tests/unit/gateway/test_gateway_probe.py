"""The probe of a public ParaTime; the encrypted one is held to its claims by the whole network."""

import pytest

from services.gateway.probe import PlainCallProbe, ProbeFailed
from shared.encoding.record import decode_record
from shared.types.evm import EvmCall, EvmQuery


class Status:
    epoch, is_ready = 7, True


class PublicNode:
    def __init__(self, answer: bytes = b"") -> None:
        self.answer, self.status = answer, Status()

    async def fetch_status(self):
        return self.status

    async def query(self, method, args, round_=None):
        assert method == EvmQuery.CALL
        assert decode_record(EvmCall, args).data == b""
        return self.answer


async def test_plain_probe_gives_the_epoch():
    assert await PlainCallProbe().check(PublicNode()) == 7


async def test_output_of_an_address_without_code_fails_the_plain_probe():
    with pytest.raises(ProbeFailed):
        await PlainCallProbe().check(PublicNode(b"\x01"))


async def test_node_that_is_not_ready_fails_the_plain_probe():
    node = PublicNode()
    node.status.is_ready = False
    with pytest.raises(ProbeFailed):
        await PlainCallProbe().check(node)
