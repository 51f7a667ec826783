"""The application on the ABCI socket, under an engine that sees no more of it than that."""

import asyncio
import contextlib
import filecmp
import subprocess

import pytest

from services.consensus.abci import Block, Misbehavior, MisbehaviorKind
from services.consensus.abci_socket import abci_pb2 as pb
from services.consensus.abci_socket.server import encode_message
from services.consensus.store import Store
from tests.support.abci_client import AbciLoop, RemoteApplication, over_a_socket
from tests.support.applications import CONSENSUS, SUBJECTS
from tests.support.chains import GENESIS_NS, SoloChain, genesis
from tests.support.networks import ROOT

pytestmark = pytest.mark.enable_socket
PROTO = "services/consensus/abci_socket/abci"
QUARTER_NS = 250_000_000


def run(chain: SoloChain, workload) -> SoloChain:
    for transactions in workload(chain):
        for raw in transactions:
            chain.engine.submit(raw)
        chain.clock.advance(QUARTER_NS)
        chain.engine.make_block()
    return chain


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_an_engine_makes_the_same_chain_over_the_socket(subject):
    beside = run(subject.new_chain(), subject.workload)
    with contextlib.ExitStack() as stack:
        over = SoloChain(
            application=over_a_socket(subject.make, stack), document=subject.document
        ).started()
        run(over, subject.workload)
        for height in range(1, beside.engine.chain.height + 1):
            ours, theirs = (one.store.blocks.load(height) for one in (beside, over))
            assert ours == theirs
        assert over.engine.application.info() == beside.engine.application.info()
        for raw in subject.bad:
            checked = over.engine.application.check_tx(raw, False)
            assert checked == beside.engine.application.check_tx(raw, False)


@pytest.fixture
def served():
    served = AbciLoop(CONSENSUS.make(Store()))
    yield served
    served.close()


@pytest.fixture
def remote(served):
    remote = RemoteApplication(served)
    yield remote
    remote.close()


def test_offences_arrive_as_they_were_sent(remote, monkeypatch):
    seen = []
    monkeypatch.setattr(remote._local, "process_proposal", lambda block: seen.append(block) or True)
    offence = Misbehavior(MisbehaviorKind.LIGHT_CLIENT_ATTACK, bytes(20), 3, GENESIS_NS, 30)
    block = Block(7, GENESIS_NS + 1, (b"x",), b"p" * 20, (), (offence,), b"h" * 32, b"n" * 32)
    assert remote.process_proposal(block)
    assert seen == [block]


def test_what_this_application_lacks_is_answered(remote):
    assert remote.ask(echo=pb.Text(text="who")).echo.text == "who"
    assert remote.ask(list_snapshots=pb.Empty()).WhichOneof("value") == "list_snapshots"
    assert remote.ask(offer_snapshot=pb.Empty()).offer_snapshot.status == 2
    assert remote.ask(extend_vote=pb.Empty()).WhichOneof("value") == "extend_vote"
    assert remote.ask(verify_vote_extension=pb.Empty()).verify_vote_extension.status == 1
    assert remote.ask(query=pb.RequestQuery(path="elsewhere")).query.codespace == "consensus"


@pytest.mark.parametrize("state", [b"", b"{}", b'"no hex"', b'"a0"', b"[" * 100_000])
def test_a_wrong_genesis_is_refused_and_the_application_lives(served, remote, state):
    asked = pb.RequestInitChain(chain_id="x", app_state=state)
    assert remote.ask(init_chain=asked).exception.text
    other = RemoteApplication(served)
    assert other.init_chain(genesis(document=CONSENSUS.document)).app_hash
    other.close()


def test_a_bug_of_the_application_ends_it(served, remote, monkeypatch):
    def fail():
        raise ZeroDivisionError

    monkeypatch.setattr(remote._local, "info", fail)
    assert "ZeroDivisionError" in remote.ask(info=pb.Empty()).exception.text
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        remote.ask(echo=pb.Text(text="still there?"))
    assert isinstance(served.serving.exception(), ZeroDivisionError)


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff" * 20,
        b"\xff\xff\xff\xff\x0f",
        b"\x03\xff\xff\xff",
        encode_message(pb.Request()),
        b"\x05\x01",
    ],
)
def test_who_speaks_something_else_is_cut_off_and_others_are_not(served, remote, sent):
    async def talk() -> None:
        reader, writer = await asyncio.open_unix_connection(served.path)
        writer.write(sent)
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()

    served.run(talk())
    assert remote.info().height == 0


def test_only_the_owner_may_open_the_socket(served):
    assert served.path.stat().st_mode & 0o777 == 0o600


def test_python_is_what_the_protocol_file_makes(tmp_path):
    subprocess.run([ROOT / "scripts" / "protobuf.sh", tmp_path], cwd=ROOT, check=True)
    for kind in ("_pb2.py", "_pb2.pyi"):
        name = PROTO + kind
        assert filecmp.cmp(ROOT / name, tmp_path / name, shallow=False), "run scripts/protobuf.sh"
