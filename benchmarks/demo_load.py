"""Sixteen people draw for a minute on the page, over HTTP on this machine: PYTHONPATH=. python benchmarks/demo_load.py.

Each draws the numbers of the pad's examples stroke after stroke, and sends what the pad sends: the drawing while a
stroke goes on, never before the last answer, and again when it ends. The page is a process of its own.
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

import httpx
import numpy as np
from PIL import Image, ImageDraw

from demo.strokes import Strokes, strokes_of

SIZE = (480, 240)
"""Of what the pad sends on a desktop, in pixels."""
NUMBERS = ["7", "42", "2025", "31415", "90"]
STROKE_SECONDS = 0.6
LIVE_SECONDS = 0.2
PAUSE_SECONDS = 0.6


def main() -> None:
    """Print requests, errors, and how long answers took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="sketchpad")
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=60)
    arguments = parser.parse_args()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = subprocess.Popen([sys.executable, "-m", "demo", "--run", arguments.run, "--port", str(port)])
    address = f"http://127.0.0.1:{port}"
    try:
        started = time.perf_counter()
        with httpx.Client(base_url=address) as client:
            while not answers(client):
                time.sleep(0.05)
        print(f"The page answered {time.perf_counter() - started:.1f} s after the command")
        end = time.perf_counter() + arguments.seconds
        with ThreadPoolExecutor(arguments.people) as pool:
            results = list(pool.map(lambda seed: draw(address, arguments.run, end, seed), range(arguments.people)))
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


def answers(client: httpx.Client) -> bool:
    """Return whether the page is up."""
    try:
        return client.get("/healthz").is_success
    except httpx.TransportError:
        return False


@cache
def drawings(number: str) -> list[str]:
    """Return what the pad sends of a number after each stroke."""
    strokes = strokes_of(number)
    return [drawing(strokes[:count]) for count in range(1, len(strokes) + 1)]


def draw(address: str, run: str, end: float, seed: int) -> tuple[list[float], int]:
    """Draw as one person until `end`; return how many seconds each reading took, and how many failed."""
    choice = random.Random(seed)
    seconds, errors = [], 0
    with httpx.Client(base_url=address, timeout=30) as client:
        while time.perf_counter() < end:
            for each in drawings(choice.choice(NUMBERS)):
                body = {"data": [each, run, False], "session_hash": f"person-{seed}"}
                pen_up = time.perf_counter() + STROKE_SECONDS * choice.uniform(0.5, 1.5)
                while time.perf_counter() < end:
                    last = time.perf_counter() >= pen_up
                    asked = time.perf_counter()
                    answer = client.post("/gradio_api/run/draw", json=body)
                    seconds.append(time.perf_counter() - asked)
                    errors += not (answer.is_success and 'class="read"' in answer.json()["data"][0])
                    if last:
                        break
                    time.sleep(max(0, LIVE_SECONDS - seconds[-1]))
                time.sleep(PAUSE_SECONDS * choice.uniform(0.5, 1.5))
    return seconds, errors


def drawing(strokes: Strokes) -> str:
    """Return strokes as the pad sends them."""
    image = Image.new("RGBA", SIZE, "white")
    pen = ImageDraw.Draw(image)
    for stroke in strokes:
        pen.line([(30 + 9 * x, 45 + 15 * y) for x, y in stroke], fill="black", width=12, joint="curve")
    file = BytesIO()
    image.save(file, "png")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"


if __name__ == "__main__":
    main()
