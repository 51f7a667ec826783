"""The quick start of docs/inference.md, by processes, with the real models; nothing leaks."""

import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import openai
import pytest

from shared.crypto.hashes import sha256
from tests.support.metrics_page import ROOT
from tests.support.networks import wait_for

PATIENCE_S = 60
CANARY = "canary-5d1c-colours"
KEY = "sk-mine"
VERIFY = ("-m", "qanat", "verify", "receipt", "--allow-mock", "--json")


@contextmanager
def started(*command, cwd):
    """A process of this project, with its output in a file; SIGTERM ends it."""
    output = cwd / f"{len(list(cwd.iterdir()))}.log"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=cwd,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        try:
            yield process, output
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def wait_for_line(process, output, pattern):
    """The first match in a process's output."""
    wait_for(
        lambda: process.poll() is not None or re.search(pattern, output.read_text()),
        PATIENCE_S,
        pattern,
    )
    found = re.search(pattern, output.read_text())
    assert found, output.read_text()
    return found


@pytest.mark.long
@pytest.mark.timeout(240)
def test_quick_start_answers_alike_on_two_workers_and_leaks_nothing(tmp_path) -> None:
    logs, kept = tmp_path / "logs", tmp_path / "kept"
    logs.mkdir()
    kept.mkdir()
    block = re.search(r"```python\n(.*?)```", (ROOT / "docs/inference.md").read_text(), re.DOTALL)
    story = block.group(1).replace("Name three colours.", f"Name three colours. {CANARY}")
    answers = []
    with ExitStack() as stack:
        for worker in ("a", "b"):
            socket = tmp_path / f"{worker}.sock"
            daemon = stack.enter_context(
                started("qanat", "rofl", "appd", "--socket", str(socket), cwd=logs)
            )
            wait_for_line(*daemon, re.escape(str(socket)))
            service = stack.enter_context(
                started(
                    "apps.inference",
                    *("--appd", str(socket), "--port", "0", "--busy-share", "1"),
                    *("--key-hash", sha256(KEY.encode()).hex()),
                    cwd=logs,
                )
            )
            port = wait_for_line(*service, r'"port": (\d+)').group(1)
            url = f"http://127.0.0.1:{port}"
            file = kept / f"{worker}.json"
            told = story.replace("http://127.0.0.1:8595", url).replace("exchange.json", str(file))
            found = {}
            exec(compile(told, "docs/inference.md", "exec"), found)  # noqa: S102 - our own docs
            found["client"].close()
            with openai.OpenAI(base_url=f"{url}/v1", api_key=KEY) as plain:
                streamed = plain.chat.completions.create(
                    model="smollm2-135m-instruct",
                    messages=[{"role": "user", "content": f"Name three colours. {CANARY}"}],
                    temperature=0,
                    stream=True,
                )
                text = "".join(one.choices[0].delta.content or "" for one in streamed)
            assert text == found["answer"].choices[0].message.content != ""
            answers.append(text)
            verified = subprocess.run(
                [
                    sys.executable,
                    *["-m", "qanat", "verify", "receipt", "--allow-mock", "--json"],
                    str(file),
                ],
                cwd=ROOT,
                capture_output=True,
                check=True,
            )
            assert json.loads(verified.stdout)["models"]["smollm2-135m-instruct"]
            priorities = {
                os.getpriority(os.PRIO_PROCESS, int(task))
                for task in names_in(f"/proc/{service[0].pid}/task")
            }
            assert 19 in priorities
            parts = all_of(service[0].pid)
            assert len(parts) == 2
            assert not holds_canary(file for one in parts for file in opened_files(one))
    assert answers[0] == answers[1]
    assert not holds_canary(logs.iterdir())


@pytest.mark.long
def test_the_end_leaves_a_long_prompt_and_gives_its_receipt(tmp_path) -> None:
    socket = tmp_path / "appd.sock"
    asked = {
        "model": "smollm2-135m-instruct",
        "messages": [{"role": "user", "content": "word " * 1_900}],
        "max_tokens": 100,
    }
    with started("qanat", "rofl", "appd", "--socket", str(socket), cwd=tmp_path) as daemon:
        wait_for_line(*daemon, re.escape(str(socket)))
        command = ("apps.inference", "--appd", str(socket), "--port", "0", "--busy-share", "1")
        with started(*command, cwd=tmp_path) as (service, output), ThreadPoolExecutor(1) as pool:
            port = wait_for_line(service, output, r'"port": (\d+)').group(1)
            url = f"http://127.0.0.1:{port}/v1/chat/completions"
            before = cpu_ticks(service.pid)
            answer = pool.submit(httpx.post, url, json=asked, timeout=PATIENCE_S)
            wait_for(lambda: cpu_ticks(service.pid) > before + 50, PATIENCE_S, "it reads")
            parts = all_of(service.pid)
            service.send_signal(signal.SIGTERM)
            said = answer.result(PATIENCE_S)
            assert service.wait(PATIENCE_S) == 0
    assert not [one for one in parts if Path(f"/proc/{one}").exists()]
    assert said.status_code == 200
    assert said.headers["x-receipt-id"]
    assert said.json()["choices"][0]["finish_reason"] == "length"
    assert said.json()["usage"]["prompt_tokens"] < 1_900


def cpu_ticks(pid) -> int:
    """What a process and those that it started have used [1/100 s]."""
    stats = [Path(f"/proc/{one}/stat").read_text() for one in all_of(pid)]
    return sum(sum(map(int, stat.rpartition(")")[2].split()[11:13])) for stat in stats)


def all_of(pid) -> list[int]:
    """A process and those that it started."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(int(one) for task in tasks for one in task.read_text().split())]


def opened_files(pid) -> list[Path]:
    """Files that a process has open; its models and libraries are there, and no prompt."""
    paths = [Path(f"/proc/{pid}/fd/{one}").resolve() for one in names_in(f"/proc/{pid}/fd")]
    return [path for path in paths if path.is_file()]


def names_in(folder) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


def holds_canary(paths) -> bool:
    return any(CANARY.encode() in path.read_bytes() for path in paths)


def test_the_search_finds_a_canary_that_is_there(tmp_path) -> None:
    (tmp_path / "leak").write_text(f"x{CANARY}x")
    assert holds_canary(tmp_path.iterdir())
