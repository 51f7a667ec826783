"""Who asks after a while without clients sees the time as it is, though few rounds were made."""

import time

import httpx
import pytest

from tests.support.networks import ProcessNetwork

PAUSE_S = 22
"""10 s at the usual pace of 2 s, and more than half of the 20 s without a round."""
MOST_ROUNDS = 8
"""In that time, with the one that is due when somebody asks again; 11 at the usual pace."""


@pytest.mark.long
def test_a_first_request_after_a_pause_sees_a_round_of_this_moment(
    process_network: ProcessNetwork,
) -> None:
    before = int(process_network.rpc("eth_blockNumber"), 16)
    time.sleep(PAUSE_S)
    url = process_network.url
    assert httpx.get(f"{url}/health").status_code == 200, "a health check asks for nothing"
    asked_s = time.time()
    latest = process_network.rpc("eth_getBlockByNumber", "latest", False)
    assert int(latest["timestamp"], 16) >= int(asked_s), "it was made when somebody asked"
    assert time.time() - asked_s < 2
    assert 0 < int(latest["number"], 16) - before <= MOST_ROUNDS
    # And on from there, as long as somebody asks.
    asked_s = time.monotonic()
    while time.monotonic() < asked_s + 7:
        process_network.rpc("eth_chainId")
        time.sleep(0.5)
    assert int(process_network.rpc("eth_blockNumber"), 16) >= int(latest["number"], 16) + 3
