"""Start and end of `python -m demo`, in a process of its own."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
from helpers.page import drawn
from helpers.paths import PROJECT
from helpers.waiting import free_port, is_up, wait_until

DEAD_PROXY = "http://127.0.0.1:9"
PROXIES = dict.fromkeys(("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY"), DEAD_PROXY)


def test_it_starts_behind_a_dead_proxy_and_ctrl_c_ends_it_within_a_second_under_load(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, **PROXIES, "PYTHONPATH": str(PROJECT), "PORT": str(port), "TMPDIR": str(tmp_path)}
    for name in ("NO_PROXY", "no_proxy"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "demo", "--run", str(PROJECT / "checkpoints" / "sketchpad")]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    address = f"http://127.0.0.1:{port}"
    done = 0

    def read_until_it_ends() -> None:
        nonlocal done
        with httpx.Client(base_url=address, trust_env=False, timeout=5) as client, suppress(httpx.TransportError):
            while client.post("/gradio_api/run/draw", json={"data": [drawn("2025"), "sketchpad", False]}).is_success:
                done += 1

    with httpx.Client(trust_env=False) as client:
        wait_until(lambda: is_up(client, address), "the page does not start")
    with ThreadPoolExecutor(8) as pool:
        for _ in range(8):
            pool.submit(read_until_it_ends)
        wait_until(lambda: done > 8, "no drawing is read")
        started = time.monotonic()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        seconds = time.monotonic() - started
    assert (process.returncode, err) == (0, "")
    assert out.endswith("Page closed.\n")
    assert seconds < 1
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
