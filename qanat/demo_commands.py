"""`qanat demo`: stories that run from one command."""

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from qanat.network import DEFAULT_PORT_BASE
from qanat.options import (
    DEFAULT_NETWORK,
    DataOption,
    JsonOption,
    NetworkOption,
    PortOption,
    err,
    find_network,
    out,
)
from qanat.unwinding import unwinding
from shared.errors import Unavailable

if TYPE_CHECKING:
    from apps.data_market.demo.page import Page
    from apps.data_market.train.recipe import Recipe
    from qanat.demo_network import Files
    from qanat.observe import Running

REPORT = "data-market.html"

FEW_VALIDATION_ROWS = 100
"""Fewer make accuracy and values a matter of luck, and a row of them a question about others."""

demo_app = typer.Typer(no_args_is_help=True, help="Stories from one command.")


class ExtraMissing(Unavailable, module="demo", code=1):
    """A command needs packages that the base install does not have."""


class ReportNotWritten(Unavailable, module="demo", code=2):
    """The page cannot be written where it was asked for."""


@demo_app.command("data-market")
def data_market(
    contributors: Annotated[
        Path | None,
        typer.Option(help="Folder with one CSV file a contributor; the file's name is his."),
    ] = None,
    validation: Annotated[
        Path | None, typer.Option(help="CSV file of the model owner; its columns are the schema.")
    ] = None,
    label: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    recipe: Annotated[str, typer.Option(help="How the model is made.")] = "dp-logreg/1",
    eps: Annotated[float, typer.Option(help="Privacy budget of each row.")] = 1.0,
    pot: Annotated[int, typer.Option(help="What is paid to contributors, in wei.")] = 10**18,
    report: Annotated[
        Path | None,
        typer.Option(help=f"Page to write; the story on public data writes {REPORT}."),
    ] = None,
    gateway: Annotated[
        str | None,
        typer.Option(
            help="URL of a running network's gateway: its workers run the job, all are paid."
        ),
    ] = None,
    local: Annotated[
        bool, typer.Option("--local", help="The story without a network: nobody is paid.")
    ] = False,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """
    Value rows, train on them privately, attack the model, split a pot by value.

    Without files it is the story on public data, handwritten digits: on a network of its own with
    two workers, contributors commit on the chain and seal their rows to an app's measured code,
    equal results of two workers are paid by contracts, and a report page is written. With files the
    job is computed by this command on this machine, outside an enclave, and nobody is paid, as the
    story is with --local. With --gateway either runs on that network, which has two workers or
    more. A network of its own takes free ports from --port-base on, where that is given.
    """
    if importlib.util.find_spec("dp_accounting") is None:
        raise ExtraMissing("the data market needs the extra qanat[ai]: `make setup-ai`")
    # Only now: what it imports takes a second to load, and is not there in the base install.
    from apps.data_market.errors import BadJob
    from apps.data_market.job import verify_pot
    from apps.data_market.train.recipe import recipe_of

    chosen = recipe_of(recipe)
    verify_pot(pot)
    files = None
    if contributors is not None and validation is not None and label is not None:
        files = (contributors, validation, label)
    elif not (contributors is None and validation is None and label is None):
        raise BadJob("--contributors, --validation and --label belong together")
    if files is None:
        from apps.data_market.demo.story import verify_story_eps

        verify_story_eps(eps)
    if gateway is not None and local:
        raise BadJob("--gateway and --local exclude each other")
    page = report or (Path(REPORT) if files is None else None)
    if page is not None:
        # Before a minute is spent on what is to be on it.
        _verify_writable(page)
    if gateway is not None:
        running = find_network(network, data, port_base)
        with unwinding():
            outcome = _on_network(running, gateway, files, recipe, eps, pot)
    elif files is None and not local:
        from qanat.demo_own_network import FIRST_PORT_BASE, own_network

        first_port_base = FIRST_PORT_BASE if port_base == DEFAULT_PORT_BASE else port_base
        with own_network(say, first_port_base) as own:
            outcome = _on_network(
                own.running, own.gateway, files, recipe, eps, pot, leaves_app=True
            )
    else:
        say("computed locally, outside an enclave; nobody is paid")
        outcome = _story(chosen, eps, pot) if files is None else _on_files(*files, chosen, eps, pot)
    if page is not None:
        from apps.data_market.demo.report import render_report

        with _writing(page):
            page.write_text(render_report(outcome.page), encoding="utf-8")
        say(f"wrote {page}")
    if as_json:
        print(json.dumps(outcome.summary))
        return
    _show(outcome.page)


@dataclass(frozen=True, slots=True)
class Told:
    """What is said of a job: to scripts, and on its page."""

    summary: dict[str, object]
    page: "Page"


def _show(page: "Page") -> None:
    out.print(f"accuracy {page.card['accuracy']} at eps {page.card['eps']:g}")
    out.print(f"attack AUC {page.card['attack_auc']} (0.50 is guessing)")
    valuation = page.valuation
    for at, name in enumerate(valuation.names):
        used, dropped = valuation.rows_used[at], valuation.rows_dropped[at]
        paid = page.paid_wei[name]
        out.print(f"  {name}: {paid} wei for {used} rows, {dropped} copies", markup=False)


def _on_network(
    running: "Running",
    gateway: str,
    files: "Files | None",
    recipe: str,
    eps: float,
    pot: int,
    *,
    leaves_app: bool = False,
) -> Told:
    from qanat.demo_network import pay_on_network

    outcome = pay_on_network(running, gateway, files, recipe, eps, pot, say, leaves_app=leaves_app)
    return Told(outcome.summary(), outcome.page())


def _on_files(
    contributors: Path, validation: Path, label: str, recipe: "Recipe", eps: float, pot: int
) -> Told:
    from apps.data_market.demo.page import page_of_outcome
    from apps.data_market.intake.files import read_job
    from apps.data_market.job import Order, run_job
    from shared.crypto.entropy import SystemEntropy
    from shared.crypto.secret import SecretBytes

    say("reading tables")
    tables = read_job(contributors, validation, label)
    if len(tables.validation) < FEW_VALIDATION_ROWS:
        say(f"{len(tables.validation)} validation rows are few: values are a matter of luck")
    outcome = run_job(
        Order(job="local", recipe=recipe, eps=eps, pot_wei=pot),
        tables.contributions,
        tables.validation,
        tables.schema,
        SecretBytes(SystemEntropy().draw("data market")),
        progress=say,
    )
    return Told(outcome.summary(), page_of_outcome(outcome, len(tables.validation)))


def _story(recipe: "Recipe", eps: float, pot: int) -> Told:
    from apps.data_market.demo.digits import digits_files
    from apps.data_market.demo.page import page_of_story
    from apps.data_market.demo.story import tell_story
    from shared.crypto.entropy import SystemEntropy

    story = tell_story(digits_files(), recipe, eps, pot, SystemEntropy(), say)
    return Told(story.outcome.summary(), page_of_story(story))


def _verify_writable(page: Path) -> None:
    is_new = not page.exists()
    with _writing(page), page.open("a"):
        pass
    if is_new:
        page.unlink()


@contextmanager
def _writing(page: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReportNotWritten(f"{page}: {error.strerror}") from error


def say(what: str) -> None:
    """Progress, beside what is printed."""
    err.print(f"[dim]·[/] {escape(what)}", soft_wrap=True)


@demo_app.callback()
def _demo() -> None:
    """Keep `data-market` a sub-command although it is the only one."""
