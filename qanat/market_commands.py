"""`qanat ai data`, `job` and `pay`: the data market, by who has rows and by who wants a model."""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from qanat.ai_options import FIRST, AccountOption, MockOption, find_account, tell, verify_extra
from qanat.demo_commands import say
from qanat.options import JsonOption
from qanat.rofl.app_commands import LOCAL_GATEWAY, GatewayOption, KeyFileOption
from qanat.verify_commands import MeasurementOption, RootOption, read_policy
from shared.errors import Rejected

if TYPE_CHECKING:
    from qanat.ai.market import Contributor, Market, ModelOwner, Worker

HASH_BYTES = 32
data_app = typer.Typer(no_args_is_help=True, help="Rows that nobody sees, as who has them.")
job_app = typer.Typer(no_args_is_help=True, help="A model from rows of others, as who wants it.")
pay_app = typer.Typer(no_args_is_help=True, help="What rows have earned.")


class UnreadableMarketFile(Rejected, module="market_cli", code=1):
    """A file that a command names cannot be read, or is not what a command kept."""


MarketOption = Annotated[
    str, typer.Option("--market", envvar="QANAT_MARKET", help="Address of JobMarket.")
]
WorkersOption = Annotated[
    list[str], typer.Option("--worker", help="URL of an instance; give each of them.")
]
LabelOption = Annotated[str, typer.Option("--label", help="Column of the labels.")]
KeptArgument = Annotated[Path, typer.Argument(help="As the first command kept it, FILE.kept.")]


@data_app.command()
def add(
    rows: Annotated[Path, typer.Argument(help="CSV file with a header.")],
    label: LabelOption,
    market: MarketOption,
    worker: WorkersOption,
    eps_cap: Annotated[float, typer.Option(help="Budget of all jobs together.")] = 4.0,
    delta: Annotated[float, typer.Option(help="Of that budget.")] = 1e-5,
    min_pot: Annotated[int, typer.Option(min=1, help="Least pot of a job, in wei.")] = 1,
    days: Annotated[int, typer.Option(min=1, help="No job starts after so many days.")] = 30,
    recipe: Annotated[str, typer.Option(help="The only one that is allowed.")] = "dp-logreg/1",
    keep: Annotated[Path | None, typer.Option(help="FILE.kept by default; keep it secret.")] = None,
    allow_mock: MockOption = False,
    root: RootOption = None,
    measurement: MeasurementOption = None,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """
    Commit to rows on the chain, with a policy, and seal them to the market's workers.

    Done again, they are handed over again: to another worker, or where it was cut off.
    """
    reached = _market(gateway, account, key_file, market)
    kept, csv = keep or rows.with_name(f"{rows.name}.kept"), _read(rows)
    policy = read_policy(root, measurement, allow_mock=allow_mock)
    with _workers(worker, reached, policy) as workers:
        from qanat.ai import data
        from qanat.ai.market import Contributor

        contributor = Contributor(reached, csv, label)
        if kept.exists():
            _restore(kept, "dataset", contributor)
        else:
            # Before it is on the chain: what is registered and not kept cannot be handed over.
            _keep(kept, "dataset", {"secret": contributor.secret.hex(), "label": label})
        if not _is_registered(reached, contributor.commit()):
            say("committing to the rows on the chain")
            data.policy(
                contributor,
                eps_cap=eps_cap,
                delta=delta,
                min_pot_wei=min_pot,
                days=days,
                recipe=recipe,
            )
        say("handing them to each worker, sealed")
        contributor.upload(workers)
    tell(as_json, commitment=contributor.commitment.hex(), kept=str(kept))


@data_app.command()
def accept(
    job: Annotated[str, typer.Argument(help="Its id, 64 hex digits.")],
    commitment: Annotated[str, typer.Argument(help="Of the rows, 64 hex digits.")],
    market: MarketOption,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take part in a job, which reserves its budget."""
    reached = _market(gateway, account, key_file, market)
    from qanat.ai.market import Contributor

    named = _hash(commitment, "COMMITMENT")
    Contributor(reached, b"", "", commitment=named).accept(_hash(job, "JOB"))
    tell(as_json, job=job, accepted=True)


@data_app.command()
def left(
    commitment: Annotated[str, typer.Argument(help="Of rows, 64 hex digits.")],
    market: MarketOption,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what is left of a dataset's budget: sum of 1/sigma^2 that further jobs may spend."""
    reached = _market(gateway, account, key_file, market)
    from qanat.ai import data

    tell(as_json, precision_left=data.left(reached, _hash(commitment, "COMMITMENT")))


@job_app.command("open")
def open_job(
    datasets: Annotated[list[str], typer.Argument(help="Commitments, 64 hex digits each.")],
    validation: Annotated[Path, typer.Option(help="CSV file; its columns are the schema.")],
    label: LabelOption,
    pot: Annotated[int, typer.Option(min=1, help="What is paid to contributors, in wei.")],
    market: MarketOption,
    worker: WorkersOption,
    eps: Annotated[float, typer.Option(help="Privacy budget of each row.")] = 1.0,
    recipe: Annotated[str, typer.Option(help="How the model is made.")] = "dp-logreg/1",
    within: Annotated[int, typer.Option(min=60, help="The pot comes back then, in s.")] = 3600,
    keep: Annotated[
        Path | None, typer.Option(help="What opens the model; VALIDATION.kept by default.")
    ] = None,
    allow_mock: MockOption = False,
    root: RootOption = None,
    measurement: MeasurementOption = None,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Open a job with its pot in escrow, and seal its order to the market's workers."""
    reached = _market(gateway, account, key_file, market)
    kept = keep or validation.with_name(f"{validation.name}.kept")
    policy = read_policy(root, measurement, allow_mock=allow_mock)
    with _workers(worker, reached, policy) as workers:
        from qanat.ai.market import ModelOwner

        owner = ModelOwner(reached, _read(validation), label)
        if kept.exists():
            _restore(kept, "job", owner)
        else:
            key = bytes(owner.key).hex()
            _keep(kept, "job", {"secret": owner.secret.hex(), "label": label, "key": key})
        commitments = [_hash(one, "DATASETS") for one in datasets]
        say("opening the job on the chain, and handing its order to each worker, sealed")
        id_ = owner.open(commitments, workers, recipe=recipe, eps=eps, pot_wei=pot, within_s=within)
    tell(as_json, job=id_.hex(), kept=str(kept))


@job_app.command()
def wait(
    job: Annotated[str, typer.Argument(help="Its id, 64 hex digits.")],
    kept: KeptArgument,
    output: Annotated[Path, typer.Option(help="File for the model; its card is beside it.")],
    market: MarketOption,
    worker: WorkersOption,
    timeout: Annotated[
        float, typer.Option(help="How long it may stand where it stands, in seconds.")
    ] = 600.0,
    allow_mock: MockOption = False,
    root: RootOption = None,
    measurement: MeasurementOption = None,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Wait until a job ends, and fetch its model and card."""
    reached = _market(gateway, account, key_file, market)
    named, policy = _hash(job, "JOB"), read_policy(root, measurement, allow_mock=allow_mock)
    with _workers(worker, reached, policy) as workers:
        from qanat.ai.market import ModelOwner, State

        owner = ModelOwner(reached, b"", "")
        _restore(kept, "job", owner)
        state = owner.wait(named, workers, timeout, say)
        if state is not State.SETTLED:
            tell(as_json, job=job, state=state.name.lower())
            raise typer.Exit(1)
        model, card = owner.fetch(named, workers[0])
    card_file = output.with_name(f"{output.name}.card.json")
    for path, content in ((output, model.encode()), (card_file, card)):
        _write(path, content)
    facts = {"job": job, "state": "settled", "model": str(output), "card": json.loads(card)}
    tell(as_json, **facts)


@pay_app.command()
def mine(
    market: MarketOption,
    withdraw: Annotated[bool, typer.Option("--withdraw", help="Take it as well.")] = False,
    gateway: GatewayOption = LOCAL_GATEWAY,
    account: AccountOption = FIRST,
    key_file: KeyFileOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what the market owes this account; nobody else can ask."""
    reached = _market(gateway, account, key_file, market)
    from qanat.ai import pay

    owed = pay.withdraw(reached) if withdraw else pay.mine(reached)
    tell(as_json, owed_wei=owed, withdrawn=withdraw and owed > 0)


def _market(gateway: str, account: str, key_file: Path | None, address: str) -> "Market":
    verify_extra("the data market")
    from qanat.ai.market import Market

    say(f"reaching {address}")
    return Market(gateway, find_account(account, key_file), address)


@contextmanager
def _workers(urls: list[str], market: "Market", policy: Any) -> "Iterator[list[Worker]]":
    from qanat.ai.market import Worker

    say("verifying the workers")
    with ExitStack() as stack:
        yield [stack.enter_context(Worker(url, market, policy)) for url in urls]


def _is_registered(market: "Market", commitment: bytes) -> bool:
    from apps.data_market.errors import ContractRefused

    try:
        market.dataset(commitment)
    except ContractRefused as error:
        if error.name == "UnknownDataset":
            return False
        raise
    return True


def _hash(text: str, what: str) -> bytes:
    try:
        found = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        found = b""
    if len(found) != HASH_BYTES:
        raise typer.BadParameter("64 hex digits", param_hint=what)
    return found


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableMarketFile(f"{path}: {error.strerror}") from error


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UnreadableMarketFile(f"{path}: {error.strerror}") from error


def _keep(path: Path, kind: str, fields: dict[str, str]) -> None:
    content = json.dumps({"kind": kind} | fields)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(content)
    except OSError as error:
        raise UnreadableMarketFile(f"{path}: {error.strerror}") from error


def _restore(path: Path, kind: str, party: "Contributor | ModelOwner") -> None:
    """Give somebody the secrets that he had. Raises `UnreadableMarketFile`."""
    from nacl.exceptions import CryptoError
    from nacl.public import PrivateKey

    from qanat.ai.market import ModelOwner

    try:
        fields = json.loads(_read(path))
        is_it = fields["kind"] == kind
        party.secret = bytes.fromhex(fields["secret"])
        if is_it and isinstance(party, ModelOwner):
            party.key = PrivateKey(bytes.fromhex(fields["key"]))
    except (AttributeError, CryptoError, KeyError, TypeError, ValueError) as error:
        raise UnreadableMarketFile(f"{path} is nothing that a command kept") from error
    if not is_it:
        raise UnreadableMarketFile(f"{path} was kept of something else than a {kind}")
