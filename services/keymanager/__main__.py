"""Start a key manager's host: read the settings, build, serve."""

from functools import partial

from services.keymanager.app import serve_key_manager
from services.keymanager.config import Settings
from shared.kit.process import run_service
from shared.kit.settings import read_settings

if __name__ == "__main__":
    run_service("keymanager", partial(read_settings, Settings), serve_key_manager)
