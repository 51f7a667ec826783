"""What the gateway does not load at its start."""

import subprocess
import sys

import pytest

from qanat.cpu import code_root

OPEN = """
import sys
from qanat.launcher.host_process import leave_out_consoles
leave_out_consoles()
import services.gateway.__main__
from services.gateway.database import open_database

open_database("sqlite:///" + sys.argv[1]).dispose()
loaded = {name for name, module in sys.modules.items() if module is not None}
print(*loaded & {"alembic", "mako", "rich", "sqlalchemy.dialects.postgresql"})
"""


@pytest.mark.long
@pytest.mark.slow
def test_an_empty_or_current_index_is_opened_without_the_migrations(tmp_path):
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", OPEN, str(tmp_path / "index.sqlite")],
            cwd=code_root(),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == []
