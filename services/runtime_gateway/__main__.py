"""Start the gateway of a ParaTime: read the settings, build, serve."""

from services.runtime_gateway.app import serve_gateway
from services.runtime_gateway.config import read_gateway_settings
from shared.kit.process import run_service

if __name__ == "__main__":
    run_service("runtime_gateway", read_gateway_settings, serve_gateway)
