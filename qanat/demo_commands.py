"""`qanat demo`: stories that run from one command."""

import importlib.util
import json
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
from shared.errors import Unavailable

if TYPE_CHECKING:
    from apps.data_market.job import Outcome
    from apps.data_market.train.recipe import Recipe

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
        Path, typer.Option(help="Page that the story on public data is written to.")
    ] = Path("data-market.html"),
    gateway: Annotated[
        str | None,
        typer.Option(
            help="URL of a running network's gateway: its workers run the job, all are paid."
        ),
    ] = None,
    network: NetworkOption = DEFAULT_NETWORK,
    data: DataOption = None,
    port_base: PortOption = DEFAULT_PORT_BASE,
    as_json: JsonOption = False,
) -> None:
    """
    Value rows, train on them privately, attack the model, split a pot by value.

    Without files it is about public data, handwritten digits. By default everything is computed by
    this command on this machine, outside an enclave, nobody is paid, and the story on digits writes
    a report page. With --gateway the same job runs on a network with two workers or more: the app
    is built and deployed there, contributors commit on the chain and seal their rows to its
    measured code, and equal results of two workers are paid by contracts.
    """
    if importlib.util.find_spec("dp_accounting") is None:
        raise ExtraMissing("the data market needs the extra qanat[ai]: `make setup-ai`")
    # Only now: what it imports takes a second to load, and is not there in the base install.
    from apps.data_market.errors import BadJob
    from apps.data_market.train.recipe import recipe_of

    chosen = recipe_of(recipe)
    files = None
    if contributors is not None and validation is not None and label is not None:
        files = (contributors, validation, label)
    elif not (contributors is None and validation is None and label is None):
        raise BadJob("--contributors, --validation and --label belong together")
    if gateway is not None:
        from qanat.demo_network import pay_on_network

        running = find_network(network, data, port_base)
        paid_there = pay_on_network(running, gateway, files, recipe, eps, pot, say)
        if as_json:
            print(json.dumps(paid_there.summary()))
            return
        out.print(f"accuracy {paid_there.card['accuracy']} at eps {eps:g}, paid and withdrawn:")
        for name, paid in paid_there.paid_wei.items():
            out.print(f"  {name}: {paid} wei", markup=False)
        return
    say("computed locally, outside an enclave; nobody is paid")
    if files is None:
        outcome = _story(chosen, eps, pot, report)
    else:
        outcome = _on_files(*files, chosen, eps, pot)
    if as_json:
        print(json.dumps(outcome.summary()))
        return
    out.print(f"accuracy {outcome.training.accuracy:.3f} at eps {eps:g}")
    out.print(f"attack AUC {outcome.training.attack.auc:.2f} (0.50 is guessing)")
    for name, paid in outcome.paid_wei.items():
        at = outcome.valuation.names.index(name)
        used, dropped = outcome.valuation.rows_used[at], outcome.valuation.rows_dropped[at]
        out.print(f"  {name}: {paid} wei for {used} rows, {dropped} copies", markup=False)


def _on_files(
    contributors: Path, validation: Path, label: str, recipe: "Recipe", eps: float, pot: int
) -> "Outcome":
    from apps.data_market.intake.files import read_job
    from apps.data_market.job import Order, run_job
    from shared.crypto.entropy import SystemEntropy
    from shared.crypto.secret import SecretBytes

    say("reading tables")
    tables = read_job(contributors, validation, label)
    if len(tables.validation) < FEW_VALIDATION_ROWS:
        say(f"{len(tables.validation)} validation rows are few: values are a matter of luck")
    return run_job(
        Order(job="local", recipe=recipe, eps=eps, pot_wei=pot),
        tables.contributions,
        tables.validation,
        tables.schema,
        SecretBytes(SystemEntropy().draw("data market")),
        progress=say,
    )


def _story(recipe: "Recipe", eps: float, pot: int, report: Path) -> "Outcome":
    from apps.data_market.demo.digits import digits_files
    from apps.data_market.demo.report import render_report
    from apps.data_market.demo.story import tell_story
    from shared.crypto.entropy import SystemEntropy

    story = tell_story(digits_files(), recipe, eps, pot, SystemEntropy(), say)
    try:
        report.write_text(render_report(story), encoding="utf-8")
    except OSError as error:
        raise ReportNotWritten(f"{report}: {error.strerror}") from error
    say(f"wrote {report}")
    return story.outcome


def say(what: str) -> None:
    """Progress, beside what is printed."""
    err.print(f"[dim]·[/] {escape(what)}", soft_wrap=True)


@demo_app.callback()
def _demo() -> None:
    """Keep `data-market` a sub-command although it is the only one."""
