"""
Four clients of an inference service that ask without end: `python -m tests.bench.asking URL`.

A process of their own, so that what they do is not done between two steps of who measures. Says
`begun` with the first piece of an answer; ends with its standard input, and says how many came.
"""

import asyncio
import sys

import httpx

CLIENTS = 4
ASKED = {
    "model": "smollm2-135m-instruct",
    "messages": [{"role": "user", "content": "Tell a long story about a mill at a ford."}],
    "max_tokens": 256,
    "stream": True,
}
PIECE = "data: {"


async def ask_until_told(url: str) -> None:
    """Ask until standard input ends."""
    pieces = 0

    async with httpx.AsyncClient(base_url=url, timeout=None) as client:  # noqa: S113 - no patience

        async def ask() -> None:
            nonlocal pieces
            while True:
                async with client.stream("POST", "/v1/chat/completions", json=ASKED) as answer:
                    answer.raise_for_status()
                    async for line in answer.aiter_lines():
                        if line.startswith(PIECE):
                            pieces += 1
                            if pieces == 1:
                                print("begun", flush=True)

        told = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
        tasks = [told, *(asyncio.create_task(ask()) for _ in range(CLIENTS))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for failed in (task for task in tasks[1:] if task.done()):
            failed.result()
        print(pieces, flush=True)
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(ask_until_told(sys.argv[1]))
