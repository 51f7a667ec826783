import asyncio
import http.client

import pytest

from shared.kit.http import HttpServer
from tests.support.turns import turns


async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"here"})


def get(port: int, path: str):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", path)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response.status, dict(response.headers), body


async def stop(task: asyncio.Task) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_server_answers_until_it_is_cancelled_and_then_frees_its_port():
    server = HttpServer(app, "127.0.0.1", 0)
    task = asyncio.create_task(server.serve())
    answer = await asyncio.to_thread(get, server.port, "/health")
    assert (answer[0], answer[2]) == (200, b"here")
    await stop(task)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(get, server.port, "/health")


async def test_no_answer_carries_a_date_that_stands_still():
    server = HttpServer(app, "127.0.0.1", 0)
    task = asyncio.create_task(server.serve())
    _, headers, _ = await asyncio.to_thread(get, server.port, "/metrics")
    assert "date" not in {name.lower() for name in headers}
    await stop(task)


async def test_an_idle_server_does_nothing_until_it_is_asked():
    server = HttpServer(app, "127.0.0.1", 0)
    task = asyncio.create_task(server.serve())
    await asyncio.to_thread(get, server.port, "/health")
    ticks = 0
    tick = server._server.on_tick

    async def counted(counter):
        nonlocal ticks
        ticks += 1
        return await tick(counter)

    server._server.on_tick = counted
    await turns()
    soon = asyncio.get_running_loop().time() + 1
    timers = [timer for timer in asyncio.get_running_loop()._scheduled if not timer.cancelled()]
    assert all(timer.when() > soon for timer in timers), timers
    await stop(task)
    assert ticks == 0
