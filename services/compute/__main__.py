"""Start a compute node's host: read the settings, build, serve."""

from services.compute.app import serve_compute
from services.compute.config import read_compute_settings
from shared.kit.process import run_service

if __name__ == "__main__":
    run_service("compute", read_compute_settings, serve_compute)
