"""`qanat ai`: what uses private AI, from the command line."""

import typer

from qanat.infer_commands import infer_app
from qanat.knowledge_commands import knowledge_app

ai_app = typer.Typer(no_args_is_help=True, help="Private AI, as who uses it.")
ai_app.add_typer(infer_app, name="infer")
ai_app.add_typer(knowledge_app, name="knowledge")
