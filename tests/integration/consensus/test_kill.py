"""`kill -9` of a process that makes blocks, at moments nobody chose."""

import signal
import subprocess
import sys

import pytest

from shared.rules.light_client import LightClient
from tests.support.chains import CHAIN_ID, VALIDATORS, SoloChain
from tests.support.networks import ROOT

PROGRAM = """
import sys
from functools import partial
from services.consensus.store import Store
from shared.kit.clock import SystemClock
from tests.support.chains import SoloChain
from tests.support.counter import NONCE, transaction

chain = SoloChain(sys.argv[1], make_store=partial(Store, may_wait=int(sys.argv[2])))
chain.clock = SystemClock()
chain.engine = chain.new_engine()
chain.engine.start()
while True:
    nonce = int(chain.store.load_tree().get(NONCE) or b"0")
    chain.engine.submit(transaction(nonce, "round"))
    print(chain.engine.make_block().block.height, flush=True)
"""


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.parametrize("may_wait", [0, 5])
def test_a_killed_chain_keeps_every_block_that_it_told_of_and_goes_on(tmp_path, may_wait):
    path = tmp_path / "chain.db"
    for blocks in (9, 25, 4):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path), str(may_wait)],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        first = [process.stdout.readline() for _ in range(blocks)]
        process.send_signal(signal.SIGKILL)
        told = [*first, *process.communicate()[0].splitlines()]
        assert process.returncode == -signal.SIGKILL

        chain = SoloChain(path).started()
        assert chain.store.height >= int(told[-1])
        client = LightClient(CHAIN_ID, VALIDATORS)
        for height in range(1, chain.store.height + 1):
            events = chain.store.load_events(height)
            if events.proven is None:
                client.verify(chain.store.load_proven_state([], height))
            else:
                client.verify_encoded(events.proven)
        chain.store.close()
