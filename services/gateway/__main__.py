"""Start the gateway: read the settings, build, serve."""

from services.gateway.app import serve_gateway
from services.gateway.config import read_gateway_settings
from shared.kit.process import run_service

if __name__ == "__main__":
    run_service("gateway", read_gateway_settings, serve_gateway)
