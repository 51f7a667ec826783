"""An app on a port, for clients that know nothing but HTTP."""

import asyncio
import threading
from contextlib import contextmanager

import uvicorn

from shared.kit.sockets import open_sockets


@contextmanager
def on_a_port(served, app_of=lambda given: given):
    """
    Serve an app in a thread and a loop of its own; gives its URL.

    `served` is the asynchronous context in which it lives, `app_of` finds the app in what that
    gives.
    """
    ready, known = threading.Event(), {}

    async def serve():
        async with served as given:
            sockets = open_sockets("127.0.0.1", 0)
            config = uvicorn.Config(app_of(given), log_config=None, lifespan="off", ws="none")
            server, loop = uvicorn.Server(config), asyncio.get_running_loop()
            known["stop"] = lambda: loop.call_soon_threadsafe(setattr, server, "should_exit", True)
            known["url"] = f"http://127.0.0.1:{sockets[0].getsockname()[1]}"
            ready.set()
            await server._serve(sockets)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(30)
        yield known["url"]
    finally:
        known["stop"]()
        thread.join(30)
    assert not thread.is_alive()
