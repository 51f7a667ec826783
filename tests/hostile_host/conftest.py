"""Real enclave programs under a host that lies in every message and every file."""

from dataclasses import dataclass

import pytest

from services.compute.enclave.protocol import ComputeEnclaveApi
from shared.types.block import RoundChange
from tests.support.compute_nodes import RICH, raw
from tests.support.enclave_bench import Bench, first_changes, register_program
from tests.support.evm_state import KEEPER_INIT, created_by
from tests.support.lying_host import LyingHost


@dataclass
class Scene:
    """A chain whose round 3 deployed a contract that keeps a secret, and a lying host."""

    bench: Bench
    host: LyingHost
    victim: bytes
    changes: list[RoundChange]
    """Every round that is final, with its diff, genesis first."""

    def show_chain(self):
        """Show the enclave the newest block, and that it is registered."""
        self.host.ask("initialize", self.bench.chain.prove(self.bench.keys))
        register_program(self.bench.chain, "a", self.host.program)
        return self.host.ask("initialize", self.bench.chain.prove(self.bench.keys))

    def catch_up(self):
        """Show the enclave the newest block, and give it every round."""
        self.show_chain()
        return self.host.ask("apply", tuple(self.changes)).state


@pytest.fixture
def scene(tmp_path) -> Scene:
    bench = Bench()
    honest = bench.start("honest")
    changes = first_changes(bench.chain)
    changes.append(bench.run(honest, raw(0)))
    changes.append(bench.run(honest, raw(1, to=b"", data=KEEPER_INIT, gas=1_000_000)))
    changes.append(bench.run(honest))
    host = LyingHost(ComputeEnclaveApi, lambda: bench.program("a", tmp_path), tmp_path)
    return Scene(bench, host, created_by(RICH, 1), changes)
