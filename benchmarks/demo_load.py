"""Measure the page under load: sixteen simulated people draw for a minute, over HTTP on this machine.

Usage: PYTHONPATH=. python benchmarks/demo_load.py

Each person draws the numbers of the pad's examples, stroke by stroke, and sends the same requests as the pad: the
drawing during a stroke, but never before the previous response, and again at its end. The page is a separate process.
"""

import argparse
import base64
import random
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
from PIL import Image, ImageDraw

from demo.strokes import Strokes, strokes_of

PICTURE_SIZE_PX = (480, 240)
"""Size of the picture that the pad sends on a desktop."""
NUMBERS = ["7", "42", "2025", "31415", "90"]
STROKE_SECONDS = 0.6
"""Mean duration of a stroke."""
UPDATE_SECONDS = 0.2
"""Shortest time between two requests during a stroke."""
PAUSE_SECONDS = 0.6
"""Mean pause between two strokes."""


def main() -> None:
    """Run the page and the simulated people; print the number of requests and errors, response times and memory."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="sketchpad")
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    port = free_port()
    page = subprocess.Popen([sys.executable, "-m", "demo", "--run", arguments.run, "--port", str(port)])
    address = f"http://127.0.0.1:{port}"
    try:
        started = time.perf_counter()
        with httpx.Client(base_url=address) as client:
            while not is_up(client):
                time.sleep(0.05)
        print(f"The page responded {time.perf_counter() - started:.1f} s after the command")
        draw(address, arguments.run, time.perf_counter() + 1, seed=0)  # the first readings allocate
        memory = memory_mb(page.pid)
        end = time.perf_counter() + arguments.seconds
        with ThreadPoolExecutor(arguments.people) as pool:
            results = list(pool.map(lambda seed: draw(address, arguments.run, end, seed), range(arguments.people)))
        print(f"Memory: {memory:.0f} MB at first, {memory_mb(page.pid):.0f} MB at the end")
    finally:
        page.terminate()
        page.wait()
    seconds = np.array([each for times, _ in results for each in times])
    errors = sum(count for _, count in results)
    p50, p95, p99 = np.percentile(seconds, [50, 95, 99]) * 1000
    print(
        f"{arguments.people} people, {arguments.seconds:.0f} s: {len(seconds):,} readings "
        f"({len(seconds) / arguments.seconds:.0f} a second), {errors} errors, "
        f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms, longest {seconds.max() * 1000:.0f} ms"
    )


def free_port() -> int:
    """Return a port of this machine at which nothing listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def memory_mb(process: int) -> float:
    """Return the memory of a process in MB, from Linux's /proc."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1000


def is_up(client: httpx.Client) -> bool:
    """Return whether the page responds."""
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False


@cache
def pad_data(number: str) -> list[str]:
    """Return the data URLs that the pad sends for a number, one after each stroke."""
    strokes = strokes_of(number)
    return [draw_png(strokes[:count]) for count in range(1, len(strokes) + 1)]


def draw(address: str, run: str, end: float, seed: int) -> tuple[list[float], int]:
    """Simulate one person until `end`; return the seconds of each reading, and the number of errors."""
    choice = random.Random(seed)
    seconds, errors = [], 0
    with httpx.Client(base_url=address, timeout=30) as client:
        while time.perf_counter() < end:
            for picture in pad_data(choice.choice(NUMBERS)):
                body = {"data": [picture, run, False], "session_hash": f"person-{seed}"}
                pen_up = time.perf_counter() + STROKE_SECONDS * choice.uniform(0.5, 1.5)
                while time.perf_counter() < end:
                    last = time.perf_counter() >= pen_up
                    started = time.perf_counter()
                    response = client.post("/gradio_api/run/draw", json=body)
                    seconds.append(time.perf_counter() - started)
                    errors += not (response.is_success and 'class="read"' in response.json()["data"][0])
                    if last:
                        break
                    time.sleep(max(0, UPDATE_SECONDS - seconds[-1]))
                time.sleep(PAUSE_SECONDS * choice.uniform(0.5, 1.5))
    return seconds, errors


def draw_png(strokes: Strokes) -> str:
    """Return a drawing of the strokes as a PNG data URL, as the pad sends it."""
    image = Image.new("RGBA", PICTURE_SIZE_PX, "white")
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        pen.line([(30 + 9 * x, 45 + 15 * y) for x, y in stroke], fill="black", width=12, joint="curve")
    file = BytesIO()
    image.save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


if __name__ == "__main__":
    main()
