"""`qanat demo data-market --gateway`: the app on the network's workers, and who pays."""

import contextlib
import tempfile
from pathlib import Path

from eth_account import Account

from apps.data_market.chain.uploads import Params
from apps.data_market.demo.digits import JobFiles, digits_files
from apps.data_market.demo.on_network import Asked, NetworkOutcome, Started, run_on_network
from apps.data_market.demo.story import CAP_EPS, OTHER_EPS, verify_story_eps
from apps.data_market.intake.files import list_contributors, read_file, read_job
from apps.data_market.intake.table import read_table
from apps.data_market.job import Progress
from apps.data_market.privacy.gaussian import LARGEST_EPS
from apps.data_market.train.recipe import public_count
from qanat.accounts import DERIVATION_PATH, TEST_MNEMONIC
from qanat.demo_market import MarketApp
from qanat.observe import Running

Files = tuple[Path, Path, str]
"""Folder of contributors, validation file, label."""


def pay_on_network(
    running: Running,
    gateway: str,
    chosen: Files | None,
    recipe: str,
    eps: float,
    pot_wei: int,
    progress: Progress,
    *,
    leaves_app: bool = False,
) -> NetworkOutcome:
    """
    Run a job on a network with two workers, until everybody is paid.

    It is about these files, or without any the story about digits, with jobs at other budgets. The
    first account of the test mnemonic pays. The app is made for this alone, and removed after it,
    unless it is left to a network that ends as well.
    Raises what `run_on_network` and `MarketApp` do, and `BadTable`.
    """
    files = digits_files() if chosen is None else _read(*chosen)
    asked = _asked(files, recipe, eps, pot_wei, is_story=chosen is None)
    Account.enable_unaudited_hdwallet_features()
    funder = Account.from_mnemonic(TEST_MNEMONIC, account_path=DERIVATION_PATH.format(index=0))
    with tempfile.TemporaryDirectory(prefix="qanat-market-") as made, contextlib.ExitStack() as end:
        progress("making an attested app for the market (mock TEE)")
        app = MarketApp.create(running, gateway, Path(made))
        if not leaves_app:
            end.enter_context(app.removed_after(progress))

        def start(market: str) -> Started:
            attested = app.run(market, progress)
            return Started(app.urls(), attested)

        return run_on_network(gateway, funder, app.app_id, start, files, asked, progress)


def _asked(files: JobFiles, recipe: str, eps: float, pot_wei: int, *, is_story: bool) -> Asked:
    rows = sum(
        public_count(len(read_table(csv, files.label).labels))
        for csv in files.contributors.values()
    )

    def params(eps: float) -> Params:
        return Params(recipe, float(eps), 1 / (2 * rows), files.label)

    if not is_story:
        return Asked(params(eps), pot_wei, cap_eps=min(2 * eps, LARGEST_EPS))
    verify_story_eps(eps)
    others = [params(one) for one in OTHER_EPS]
    return Asked(params(eps), pot_wei, CAP_EPS, others, refused=params(CAP_EPS))


def _read(contributors: Path, validation: Path, label: str) -> JobFiles:
    # What is wrong with a file is said with its name, and before anything is made on the chain.
    read_job(contributors, validation, label)
    return JobFiles(
        label,
        read_file(validation),
        {file.stem: read_file(file) for file in list_contributors(contributors)},
    )
