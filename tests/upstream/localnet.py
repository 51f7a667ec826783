"""
What upstream's tests ask `docker` about sapphire-localnet, answered by a network of this project.

It stands on the path as `docker`: the suite looks for a container that publishes 8545, reads epoch
and debonding interval in it, and moves its epochs.
"""

import json
import os
import subprocess
import sys

import httpx

CONTAINER = "qanat"
OPTIONS, CONSENSUS = "QANAT_UPSTREAM_OPTIONS", "QANAT_UPSTREAM_CONSENSUS"
DEBONDING_EPOCHS = 1
"""`StakingParameters.debonding_interval` of a network file that says nothing else."""


class UnknownQuestion(Exception):
    """Upstream asks something that it did not ask when this was written."""


def answer(arguments: list[str]) -> str:
    """Answer as `docker` would, or raise `UnknownQuestion`."""
    match arguments:
        case ["ps", *_]:
            return CONTAINER
        case ["exec", _, "/oasis-node", "control", "status", *_]:
            return json.dumps({"consensus": {"latest_epoch": _epoch()}})
        case ["exec", _, "/oasis-node", "debug", "control", "set-epoch", "--epoch", epoch, *_]:
            missing = int(epoch) - _epoch()
            if missing > 0:
                _advance(missing)
            return ""
        case ["exec", _, "cat", "/serverdir/node/fixture.json"]:
            staking = {"debonding_interval": DEBONDING_EPOCHS}
            return json.dumps({"network": {"staking_genesis": {"params": staking}}})
        case _:
            raise UnknownQuestion(" ".join(arguments))


def _epoch() -> int:
    return int(httpx.get(f"{os.environ[CONSENSUS]}/v1/status", timeout=10).json()["epoch"])


def _advance(count: int) -> None:
    command = [sys.executable, "-m", "qanat", "epoch", "advance", str(count)]
    options = json.loads(os.environ[OPTIONS])
    subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL, timeout=60)


if __name__ == "__main__":
    print(answer(sys.argv[1:]))
