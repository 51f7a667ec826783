"""Programs from a text, on a chain in memory."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from qanat.paratime.harness import LocalChain

MakeChain = Callable[..., LocalChain]


@pytest.fixture
def make_chain(tmp_path: Path) -> MakeChain:
    """Make a chain that runs a module whose body is given."""

    def make(body: str, *, confidential: bool = False, **options: Any) -> LocalChain:
        package = tmp_path / "programs" / "one"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").write_text(
            "from dataclasses import dataclass\n"
            "from runtimes.python.sdk import (\n"
            "    Context, Grouped, Map, Module, ParaTime, Refused, Value, call, event, join,\n"
            "    query,\n"
            ")\n"
            "class One(Module):\n"
            '    name = "one"\n'
            + textwrap.indent(textwrap.dedent(body), "    ")
            + "\nPARATIME = ParaTime(name='one', modules=(One(),), "
            + f"confidential={confidential})\n"
        )
        return LocalChain("programs.one", root=tmp_path, **options)

    return make
