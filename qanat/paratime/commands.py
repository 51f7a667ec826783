"""Commands for people who write ParaTimes."""

from typing import Annotated

import typer

from qanat.options import ROOT, err, out
from qanat.paratime.template import BadName, create_paratime

paratime_app = typer.Typer(no_args_is_help=True, help="ParaTimes in Python.")


@paratime_app.callback()
def about() -> None:
    """Keep `new` a command of its own while it is the only one."""


@paratime_app.command("new")
def new(name: Annotated[str, typer.Argument(help="Such as order_book.")]) -> None:
    """Make a ParaTime from a template that runs."""
    try:
        files = create_paratime(name, ROOT)
    except BadName as error:
        err.print(str(error))
        raise typer.Exit(2) from None
    for path in files:
        out.print(str(path.relative_to(ROOT)))
    out.print(f"Next: make up NETWORK=networks/{name}.toml")
