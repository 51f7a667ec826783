"""Faults on demand, and the witness of one."""

from types import SimpleNamespace

import pytest

from runtimes.lying.runtime import ARM, LyingRuntime
from services.compute.faults.equivocation import EquivocatingVoice
from services.compute.faults.switchboard import (
    ARM_LIES,
    FaultEdge,
    FaultImpossible,
    Switchboard,
)
from services.compute.open_rounds import OpenRounds
from services.compute.rules.proposal import RoundDomain, build_proposal, verify_proposal
from services.compute.witness import Witness
from shared.api.control import Fault, FaultKind, NodeControlApi
from shared.crypto.hashes import EMPTY_HASH
from shared.crypto.signing import Signer
from shared.encoding.contract import Access, methods_of
from shared.errors import RuntimeRejected
from shared.types.block import BlockHeader, HeaderType
from shared.types.identity import Incarnation, Round
from shared.types.methods import Evidence, Method
from shared.types.registry import Committee, CommitteeMember, CommitteeRole, SchedulerParameters

RUNTIME, CONTEXT = b"\x80" + bytes(31), "ab" * 32
SIGNER, OTHER = Signer(b"\x01" * 32), Signer(b"\x02" * 32)
DOMAIN = RoundDomain(RUNTIME, CONTEXT)
PARENT = BlockHeader(1, RUNTIME, 6, 0, HeaderType.NORMAL, EMPTY_HASH, EMPTY_HASH, EMPTY_HASH)
TRUTH = b"\x11" * 32
EQUIVOCATE_TWICE = Fault(FaultKind.EQUIVOCATE, 2)


def test_switchboard_counts_the_rounds_of_each_fault():
    switchboard = Switchboard()
    assert not switchboard.take(FaultKind.EQUIVOCATE)
    switchboard.arm(EQUIVOCATE_TWICE)
    assert not switchboard.take(FaultKind.LIE)
    assert switchboard.armed() == (EQUIVOCATE_TWICE,)
    assert [switchboard.take(FaultKind.EQUIVOCATE) for _ in range(3)] == [True, True, False]
    assert switchboard.armed() == ()


def test_zero_rounds_disarm():
    switchboard = Switchboard()
    switchboard.arm(EQUIVOCATE_TWICE)
    switchboard.arm(Fault(FaultKind.EQUIVOCATE, 0))
    assert not switchboard.take(FaultKind.EQUIVOCATE)


class Enclave:
    """Answers queries as an honest EVM does, or as a lying one."""

    def __init__(self, *, lies: bool) -> None:
        self.lies, self.armed = lies, 0

    async def query(self, method, args, round_):
        if not self.lies or method != ARM_LIES:
            raise RuntimeRejected("core", 3, f"invalid method: {method}")
        self.armed = int.from_bytes(args, "big")
        return b""


class Node:
    async def newest_taken_up(self):
        return Round(7)


def edge(*, lies: bool = False) -> tuple[FaultEdge, Enclave, Switchboard]:
    enclave, switchboard = Enclave(lies=lies), Switchboard()
    return FaultEdge(switchboard, enclave, Node()), enclave, switchboard


def test_every_method_of_the_control_plane_needs_the_token():
    methods = methods_of(NodeControlApi).values()
    assert {method.access for method in methods} == {Access.DEV_CONTROL}


async def test_lies_are_armed_in_the_enclave():
    faults, enclave, _ = edge(lies=True)
    await faults.inject_fault(Fault(FaultKind.LIE, 3))
    assert enclave.armed == 3


async def test_honest_enclave_cannot_lie():
    faults, _, _ = edge()
    with pytest.raises(FaultImpossible, match="true roots only"):
        await faults.inject_fault(Fault(FaultKind.LIE, 1))


@pytest.mark.parametrize("rounds", [-1, 2**64])
async def test_absurd_number_of_rounds_is_refused(rounds):
    faults, enclave, _ = edge(lies=True)
    for kind in FaultKind:
        with pytest.raises(FaultImpossible):
            await faults.inject_fault(Fault(kind, rounds))
    assert enclave.armed == 0


async def test_other_faults_are_armed_in_the_host():
    faults, _, _ = edge()
    await faults.inject_fault(EQUIVOCATE_TWICE)
    assert await faults.fetch_faults() == (EQUIVOCATE_TWICE,)


class Honest:
    """As much of a runtime as the lying one decorates."""

    is_confidential = True

    def __init__(self) -> None:
        self.persisted = 0

    def execute(self, context, batch, inbox):
        def persist() -> None:
            self.persisted += 1

        return SimpleNamespace(state_root=TRUTH, io_root=b"io", results=batch, persist=persist)

    def query(self, method, args, context):
        return method.encode()


def test_lying_runtime_lies_in_as_many_rounds_as_asked_and_keeps_the_truth():
    honest = Honest()
    runtime = LyingRuntime(honest)
    assert runtime.execute(None, (b"a",)).state_root == TRUTH
    assert runtime.query(ARM, (2).to_bytes(8, "big"), None) == b""
    rounds = [runtime.execute(None, (b"a",)) for _ in range(3)]
    assert [one.state_root == TRUTH for one in rounds] == [False, False, True]
    assert {len(one.state_root) for one in rounds} == {32}
    assert {(one.io_root, one.results) for one in rounds} == {(b"io", (b"a",))}
    for one in rounds:
        one.persist()
    assert honest.persisted == 3


def test_lying_runtime_is_the_honest_one_in_all_else():
    runtime = LyingRuntime(Honest())
    assert runtime.is_confidential
    assert runtime.query("evm.Call", b"", None) == b"evm.Call"


def test_name_of_the_query_is_the_same_on_both_sides():
    assert ARM == ARM_LIES


class Peers:
    everybody = (OTHER.public_key,)

    def __init__(self) -> None:
        self.sent = []

    def send_proposal(self, proposal, members):
        self.sent.append((proposal, members))


async def test_equivocating_voice_contradicts_itself_in_a_valid_proposal(tmp_path):
    peers, switchboard, tasks = Peers(), Switchboard(), []
    voice = EquivocatingVoice(
        SIGNER,
        DOMAIN,
        OpenRounds(tmp_path / "open.votes", Incarnation(0)),
        None,
        tasks.append,
        peers=peers,
        switchboard=switchboard,
    )
    switchboard.arm(Fault(FaultKind.EQUIVOCATE, 1))
    parent = PARENT
    first = voice.propose(parent, (b"tx",))
    assert peers.sent == []
    (task,) = tasks
    await task
    ((second, members),) = peers.sent
    assert members == peers.everybody
    assert (second.node_id, second.header.round) == (first.node_id, first.header.round)
    assert second.header != first.header
    committee = Committee(RUNTIME, 2, (CommitteeMember(SIGNER.public_key, CommitteeRole.WORKER),))
    for proposal in (first, second):
        verify_proposal(
            proposal, DOMAIN, parent=parent, committee=committee, limits=SchedulerParameters()
        )


class Sender:
    def __init__(self) -> None:
        self.sent = []

    async def submit(self, method, body):
        self.sent.append((method, body))
        return b""


def proposal_of(signer: Signer, batch: tuple[bytes, ...], round_: int = 5):
    return build_proposal(
        signer, DOMAIN, round_=Round(round_), previous_hash=bytes(32), batch=batch
    )


@pytest.fixture
def witness():
    sender, tasks = Sender(), []
    return Witness(RUNTIME, sender, tasks.append), sender, tasks


async def test_two_proposals_for_one_round_are_proven(witness):
    who, sender, tasks = witness
    first, second = proposal_of(SIGNER, (b"a",)), proposal_of(SIGNER, (b"b",))
    who.see(first)
    who.see(second)
    (task,) = tasks
    await task
    ((method, evidence),) = sender.sent
    assert method == Method.EVIDENCE
    assert isinstance(evidence, Evidence)
    assert evidence.runtime_id == RUNTIME
    assert [evidence.proposals.first.header, evidence.proposals.second.header] == [
        first.header,
        second.header,
    ]


def test_what_is_no_offence_is_not_reported(witness):
    who, _, tasks = witness
    who.see(proposal_of(SIGNER, (b"a",)))
    who.see(proposal_of(SIGNER, (b"a",)))
    who.see(proposal_of(OTHER, (b"b",)))
    who.see(proposal_of(SIGNER, (b"b",), round_=6))
    assert tasks == []


def test_what_was_said_before_a_rewind_is_forgotten(witness):
    who, _, tasks = witness
    who.see(proposal_of(SIGNER, (b"a",)))
    who.forget()
    who.see(proposal_of(SIGNER, (b"b",)))
    assert tasks == []
