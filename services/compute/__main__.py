"""Start a compute node's host: read the settings, build, serve."""

import os

from services.compute.app import serve_compute
from services.compute.config import Settings
from shared.kit.logs import configure_logs
from shared.kit.process import run_process
from shared.kit.settings import read_settings, require_mock_tee_consent


async def main() -> None:
    """Run until a signal comes."""
    require_mock_tee_consent(os.environ)
    settings = read_settings(Settings, os.environ)
    configure_logs(
        settings.log_level, as_json=settings.log_json, service="compute", node=settings.node_name
    )
    await serve_compute(settings)


if __name__ == "__main__":
    run_process(main)
