"""Start a compute node's host: read the settings, build, serve."""

from functools import partial

from services.compute.app import serve_compute
from services.compute.config import Settings
from shared.kit.process import run_service
from shared.kit.settings import read_settings

if __name__ == "__main__":
    run_service("compute", partial(read_settings, Settings), serve_compute)
