"""`qanat ai`: what uses private AI, from the command line."""

import typer

from qanat.infer_commands import infer_app
from qanat.knowledge_commands import knowledge_app
from qanat.market_commands import data_app, job_app, pay_app

ai_app = typer.Typer(no_args_is_help=True, help="Private AI, as who uses it.")
ai_app.add_typer(data_app, name="data")
ai_app.add_typer(infer_app, name="infer")
ai_app.add_typer(job_app, name="job")
ai_app.add_typer(knowledge_app, name="knowledge")
ai_app.add_typer(pay_app, name="pay")
