"""
A price oracle: an attested app that reports to the contract which trusts it, and nothing else.

The contract's address is a secret of the app, so that the bundle is the same on every network.
"""

import hashlib
import os
import time

from oasis_rofl_client import KeyKind, RoflClient

REPORT = "969b1cdb"
"""Selector of `report(uint256)`."""
GAS = 500_000
PERIOD_S = 2.0


def fetch_price(turn: int) -> int:
    """Give a price; a real oracle would ask some exchanges."""
    return 1_000 + turn


def main() -> None:
    """Report until ended."""
    client = RoflClient(url=os.environ["ROFL_APPD_SOCKET"])
    key = client.generate_key("signing key of reports", KeyKind.ED25519)
    print("app", client.get_app_id(), flush=True)
    print("key", hashlib.sha256(key.encode()).hexdigest(), flush=True)
    oracle = os.environ.get("ORACLE")
    turn = 0
    while True:
        if oracle is not None:
            data = REPORT + fetch_price(turn).to_bytes(32, "big").hex()
            result = client.sign_submit({"to": oracle, "gas": GAS, "value": 0, "data": data})
            print("reported", result, flush=True)
        turn += 1
        time.sleep(PERIOD_S)


if __name__ == "__main__":
    main()
