"""Which faults are armed, and for how many rounds."""

import structlog

from services.compute.enclave.protocol import ComputeEnclaveApi
from services.compute.node import ComputeNode
from shared.api.control import Fault, FaultKind
from shared.errors import Rejected, RuntimeRejected

log = structlog.get_logger()

ARM_LIES = "lying.Arm"
"""Query by which a lying enclave learns how many roots to falsify; see `runtimes/lying`."""
MAX_ROUNDS = 1_000_000


class FaultImpossible(Rejected, module="control", code=2):
    """The node cannot misbehave in this way."""


class Switchboard:
    """Counts down the rounds of each fault."""

    def __init__(self) -> None:
        self._left: dict[FaultKind, int] = {}

    def arm(self, fault: Fault) -> None:
        """Arm a fault; 0 rounds disarm it."""
        self._left[fault.kind] = fault.rounds

    def take(self, kind: FaultKind) -> bool:
        """Say whether a fault happens now; that is one of its rounds."""
        left = self._left.get(kind, 0)
        if left > 0:
            self._left[kind] = left - 1
        return left > 0

    def armed(self) -> tuple[Fault, ...]:
        """Faults that will still happen."""
        return tuple(Fault(kind, left) for kind, left in self._left.items() if left > 0)


class FaultEdge:
    """Answers `NodeControlApi` for one ParaTime of this host."""

    def __init__(
        self, switchboard: Switchboard, enclave: ComputeEnclaveApi, node: ComputeNode
    ) -> None:
        self._switchboard = switchboard
        self._enclave, self._node = enclave, node

    async def inject_fault(self, fault: Fault) -> None:
        """Arm a fault; 0 rounds disarm it."""
        if not 0 <= fault.rounds <= MAX_ROUNDS:
            raise FaultImpossible(f"rounds must be 0 to {MAX_ROUNDS}")
        if fault.kind is FaultKind.LIE:
            await self._arm_lies(fault.rounds)
        else:
            self._switchboard.arm(fault)
        log.warning("fault_armed", kind=fault.kind.value, rounds=fault.rounds)

    async def fetch_faults(self) -> tuple[Fault, ...]:
        """Faults that are armed in this host; an enclave does not tell how often it will lie."""
        return self._switchboard.armed()

    async def _arm_lies(self, rounds: int) -> None:
        # The enclave signs its roots itself, so only one that is made to lie can do so.
        newest = await self._node.newest_taken_up()
        try:
            await self._enclave.query(ARM_LIES, rounds.to_bytes(8, "big"), newest)
        except RuntimeRejected as error:
            raise FaultImpossible(
                "the enclave of this node signs true roots only: name the ParaTime in can_lie of "
                "its [[node]], so that one with another measurement runs"
            ) from error
