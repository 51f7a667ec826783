"""Start the gateway: read the settings, build, serve."""

import os

from services.gateway.app import serve_gateway
from services.gateway.config import read_gateway_settings
from shared.kit.logs import configure_logs
from shared.kit.process import run_process
from shared.kit.settings import require_mock_tee_consent


async def main() -> None:
    """Run until a signal comes."""
    require_mock_tee_consent(os.environ)
    settings = read_gateway_settings(os.environ)
    configure_logs(
        settings.log_level, as_json=settings.log_json, service="gateway", node=settings.node_name
    )
    await serve_gateway(settings)


if __name__ == "__main__":
    run_process(main)
