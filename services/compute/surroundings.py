"""What a node's part in a round works with."""

from collections.abc import Callable
from dataclasses import dataclass, field

from services.compute.admission import Admission
from services.compute.executed import ExecutedFeed
from services.compute.execution import BatchExecuted, Execution
from services.compute.incoming import IncomingProposals
from services.compute.joint_votes import JointVotes
from services.compute.own_votes import DueReached, OwnVotes
from services.compute.peers import Peers
from services.compute.pool_times import PoolTimes
from services.compute.voting import Voice
from shared.kit.clock import Clock
from shared.types.identity import NodeId
from shared.types.registry import SchedulerParameters

WorkerMessage = BatchExecuted | DueReached


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The parts that a `RoundWorker` drives."""

    node_id: NodeId
    scheduler: SchedulerParameters
    admission: Admission
    execution: Execution
    votes: OwnVotes
    incoming: IncomingProposals
    peers: Peers
    voice: Voice
    joint_votes: JointVotes
    clock: Clock
    post: Callable[[WorkerMessage], None]
    executed: ExecutedFeed = field(default_factory=ExecutedFeed)
    """What gateways hear before a round is final."""
    pool_times: PoolTimes = field(default_factory=PoolTimes)
