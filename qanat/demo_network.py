"""`qanat demo data-market --gateway`: the processes it needs, and the account that pays."""

import secrets
import tempfile
from pathlib import Path

from eth_account import Account

from apps.appd import BlockingAppd
from apps.data_market.chain.uploads import Params
from apps.data_market.demo.digits import JobFiles, digits_files
from apps.data_market.demo.on_network import NetworkOutcome, run_on_network
from apps.data_market.intake.files import list_contributors, read_file
from apps.data_market.intake.table import read_table
from apps.data_market.job import Progress
from apps.data_market.train.recipe import public_count
from apps.data_market.worker.keys import WorkerKeys
from qanat.accounts import DERIVATION_PATH, TEST_MNEMONIC
from qanat.demo_workers import running_appd, running_workers

Files = tuple[Path, Path, str]
"""Folder of contributors, validation file, label."""


def pay_on_network(
    gateway: str, chosen: Files | None, recipe: str, eps: float, pot_wei: int, progress: Progress
) -> NetworkOutcome:
    """
    Run a job on a network, with two workers of this machine, until everybody is paid.

    It is about these files, or without any about digits. The first account of the test mnemonic
    pays. Raises what `run_on_network` does, `WorkerDied` and `BadTable`.
    """
    files = digits_files() if chosen is None else _read(*chosen)
    rows = sum(
        public_count(len(read_table(csv, files.label).labels))
        for csv in files.contributors.values()
    )
    asked = Params(recipe, float(eps), 1 / (2 * rows), files.label)
    Account.enable_unaudited_hdwallet_features()
    funder = Account.from_mnemonic(TEST_MNEMONIC, account_path=DERIVATION_PATH.format(index=0))
    with tempfile.TemporaryDirectory(prefix="qanat-market-") as made:
        folder = Path(made)
        # A seed of its own: another run's workers have other accounts, as other apps would.
        with running_appd(folder, secrets.token_hex(16)) as socket:
            derive = BlockingAppd(socket).derive
            first, second = (WorkerKeys.derive(derive, one).account.address for one in (0, 1))
            return run_on_network(
                gateway,
                funder,
                (first, second),
                lambda market: running_workers(folder, socket, gateway, market),
                files,
                asked,
                pot_wei,
                progress,
            )


def _read(contributors: Path, validation: Path, label: str) -> JobFiles:
    return JobFiles(
        label,
        read_file(validation),
        {file.stem: read_file(file) for file in list_contributors(contributors)},
    )
