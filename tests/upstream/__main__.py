"""`make upstream DIR=…`: the `contracts` suite of a checkout of sapphire-paratime, scored."""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench.contestants import CannotRun
from tests.bench.suite import UPSTREAM, prepare
from tests.support.networks import ProcessNetwork
from tests.upstream.suite import run_suite

PORT_BASE = 27545


def main() -> None:
    parser = argparse.ArgumentParser(prog="make upstream", description=__doc__)
    parser.add_argument("checkout", type=Path, nargs="?", default=UPSTREAM)
    parser.add_argument("--files", nargs="*", default=[], help="of contracts/test; all by default")
    parser.add_argument("--port-base", type=int, default=PORT_BASE)
    arguments = parser.parse_args()
    try:
        suite = prepare(arguments.checkout)
    except CannotRun as error:
        sys.exit(str(error))
    with tempfile.TemporaryDirectory(prefix="qanat-upstream-") as made:
        folder = Path(made)
        network = ProcessNetwork(folder / "data", arguments.port_base)
        try:
            network.up()
            score = run_suite(suite, network, folder, arguments.files)
        finally:
            network.down()
            network.close()
    for title, wrong in score.failed.items():
        print(f"FAILED {title}\n  {wrong}")
    for title in score.skipped:
        print(f"skipped {title}")
    print(f"{len(score.passed)} passed, {len(score.failed)} failed, {len(score.skipped)} skipped")
    sys.exit(bool(score.failed))


if __name__ == "__main__":
    main()
