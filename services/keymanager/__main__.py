"""Start a key manager's host: read the settings, build, serve."""

import os

from services.keymanager.app import serve_key_manager
from services.keymanager.config import Settings
from shared.kit.logs import configure_logs
from shared.kit.process import run_process
from shared.kit.settings import read_settings, require_mock_tee_consent


async def main() -> None:
    """Run until a signal comes."""
    require_mock_tee_consent(os.environ)
    settings = read_settings(Settings, os.environ)
    configure_logs(
        settings.log_level, as_json=settings.log_json, service="keymanager", node=settings.node_name
    )
    await serve_key_manager(settings)


if __name__ == "__main__":
    run_process(main)
