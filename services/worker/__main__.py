"""Start a worker's host: read the settings, build, serve."""

from functools import partial

from services.worker.app import serve_worker
from services.worker.config import Settings
from shared.kit.process import run_service
from shared.kit.settings import read_settings

if __name__ == "__main__":
    run_service("worker", partial(read_settings, Settings), serve_worker)
