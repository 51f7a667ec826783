"""What enclave processes load: their trusted base is small, and so are they."""

import json
import subprocess
import sys

import pytest

from qanat.cpu import code_root
from qanat.cpu.measurement import enclave_files
from shared.encoding.record import encode_record
from tests.support import mock_tee

FORBIDDEN = {
    *("fastapi", "starlette", "pydantic", "uvicorn", "httpx", "httptools", "websockets", "h11"),
    *("sqlalchemy", "alembic", "psycopg"),
    *("structlog", "prometheus_client", "rich", "typer", "docker", "asyncio", "opentelemetry"),
}

LOAD_ALL = """
import importlib, json, sys
for name in json.loads(sys.argv[1]):
    importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("service", "runtime"), [("keymanager", None), ("compute", "evm"), ("compute", "python")]
)
def test_enclaves_load_neither_a_web_framework_nor_sql(service, runtime):
    config = encode_record(mock_tee.enclave_config(runtime=runtime)) if runtime else b""
    names = [
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in enclave_files(service, config, code_root())
        if path.endswith(".py") and not path.endswith("__main__.py")
    ]
    assert f"services.{service}.enclave.protocol" in names
    command = (sys.executable, "-OO", "-c", LOAD_ALL, json.dumps(names))
    done = subprocess.run(command, capture_output=True, cwd=code_root(), check=True)
    assert not FORBIDDEN.intersection(json.loads(done.stdout))


LOAD_MAIN = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
ours = {"apps", "examples", "qanat", "runtimes", "services", "shared"}
print(json.dumps([one for one in sys.modules if one.partition(".")[0] in ours]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("service", ["keymanager", "compute", "worker"])
def test_all_that_an_enclave_imports_of_ours_is_measured(service):
    """What is not is not found in an enclave, which ends then (`qanat/cpu/bootstrap.py`)."""
    config = encode_record(mock_tee.enclave_config(runtime="evm")) if service == "compute" else b""
    measured = {
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in enclave_files(service, config, code_root())
    }
    folders = {name.rsplit(".", up)[0] for name in measured for up in range(1, name.count(".") + 1)}
    command = (sys.executable, "-c", LOAD_MAIN, f"services.{service}.enclave.__main__")
    done = subprocess.run(command, capture_output=True, cwd=code_root(), check=True)
    loaded = set(json.loads(done.stdout))
    assert loaded >= {f"services.{service}.enclave.protocol", "shared.errors"}
    assert loaded - measured - folders == set()
