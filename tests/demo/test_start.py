"""Start, memory and end of `python -m demo`, in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from helpers.page import draw_number, drawn
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


@pytest.mark.skipif(sys.platform != "linux", reason="memory is counted in Linux's /proc")
def test_sixteen_people_and_a_program_are_read_for_in_700_mb_without_pandas_and_matplotlib(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{free_port()}"
    environment = {**os.environ, "PORT": address.rpartition(":")[2], "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([sys.executable, "-m", "demo"], cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL)
    proc = Path(f"/proc/{process.pid}")
    try:
        with httpx.Client(base_url=address, timeout=60) as client:
            wait_until(lambda: is_up(client, address), "the page does not start")

            def read(number: int) -> httpx.Response:
                return client.post("/gradio_api/run/draw", json={"data": [drawn(str(number)), "sketchpad", False]})

            with ThreadPoolExecutor(16) as people:
                assert all(response.is_success for response in people.map(read, range(160)))
        memory = re.search(r"VmRSS:\s+(\d+)", (proc / "status").read_text())
        assert memory
        assert int(memory[1]) / 1000 < 700
        draw_number("7").save(tmp_path / "7.png")
        answer = Client(address, verbose=False).predict(handle_file(tmp_path / "7.png"), api_name="/read")
        assert answer["text"] == "7"
        loaded = (proc / "maps").read_text()
        assert "/torch/" in loaded
        assert not re.findall("/pandas/|/matplotlib/|/cuda/bindings/", loaded)
    finally:
        process.terminate()
        process.wait(20)


def test_modules_that_the_page_does_not_use_are_imported_only_when_they_are_used() -> None:
    script = """
import sys
from demo.lean_imports import leave_out_unused_modules
leave_out_unused_modules()
import numpy, torch
from demo.predictors import PredictorPool
PredictorPool("checkpoints/sketchpad")
assert not {"torch._decomp", "scipy.special._basic", "numpy.f2py.f2py2e", "pandas.core"} & set(sys.modules)
assert torch.empty(3, 4, device="meta").sum(1).shape == (3,)
from scipy import special
assert special.expit(0) == 0.5
assert numpy.f2py.get_include()
"""
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True)


def test_gradio_is_imported_without_parsing_its_sources_for_stub_files_and_its_tables_still_work() -> None:
    script = """
import ast, sys
ast.get_source_segment = None
from demo.lean_imports import import_gradio, leave_out_unused_modules
leave_out_unused_modules()
import_gradio()
import gradio, demo.app, demo.server
assert "pandas.core" not in sys.modules
frame = gradio.Dataframe([[1, 2]], headers=["a", "b"]).preprocess(gradio.Dataframe([[1, 2]]).postprocess([[1, 2]]))
import pandas
assert isinstance(frame, pandas.DataFrame)
"""
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, check=True)
