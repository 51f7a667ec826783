"""Start the consensus service: read the settings, build, serve."""

from functools import partial

from services.consensus.app import serve_consensus
from services.consensus.config import Settings
from shared.kit.process import run_service
from shared.kit.settings import read_settings

if __name__ == "__main__":
    run_service("consensus", partial(read_settings, Settings), serve_consensus)
