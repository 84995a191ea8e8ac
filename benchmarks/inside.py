"""Measure Look inside in Chromium: a pen draws for some seconds while the panel is open.

Usage: PYTHONPATH=. python benchmarks/inside.py

Page and browser are separate processes on this machine. Needs Debian's chromium and Playwright.
"""

import argparse
import math
import shutil
import subprocess
import sys
import time

import httpx
import numpy as np
from demo_load import free_port, is_up
from playwright.sync_api import Page, sync_playwright

MOVE_SECONDS = 1 / 60
"""Time between two positions of the pen."""
RECORD = """() => {
  const panel = [...document.querySelectorAll(".inside")].find((each) => each.checkVisibility());
  window.pressed = [];
  window.updated = [];
  addEventListener("pointerdown", () => window.pressed.push(performance.now()), true);
  new MutationObserver(() => requestAnimationFrame(() => window.updated.push(performance.now())))
    .observe(panel, { attributeFilter: ["data-updates"] });
}"""
"""Records when the pen is set down, and when the panel paints new values, in milliseconds."""


def main() -> None:
    """Print the time from the first ink to the first values, and the updates per second of each stroke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", default="sketchpad")
    parser.add_argument("--strokes", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3, help="duration of a stroke")
    arguments = parser.parse_args()
    port = free_port()
    page = subprocess.Popen([sys.executable, "-m", "demo", "--run", arguments.run, "--port", str(port)])
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            while not is_up(client):
                time.sleep(0.05)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
            tab = browser.new_page(viewport={"width": 1440, "height": 900})
            tab.goto(f"http://127.0.0.1:{port}")
            waits, rates = zip(*look(tab, arguments.strokes, arguments.seconds), strict=True)
            browser.close()
    finally:
        page.terminate()
        page.wait()
    print(
        f"first light {np.median(waits):.0f} ms after the pen is set down (longest {max(waits):.0f} ms); "
        f"{np.median(rates):.1f} updates a second (fewest {min(rates):.1f})"
    )


def look(tab: Page, strokes: int, seconds: float) -> list[tuple[float, float]]:
    """Draw strokes while the panel is open; return each one's time to first light in ms, and updates per second."""
    scribble(tab, 0.3)
    tab.locator(".open-inside").first.click()
    tab.locator(".logits .best b").wait_for()
    tab.evaluate(RECORD)
    figures = []
    for _ in range(strokes):
        tab.keyboard.press("Delete")
        tab.locator(".inside.blank").wait_for()
        tab.wait_for_timeout(1000)  # until a last response has come
        tab.evaluate("window.pressed.length = window.updated.length = 0")
        scribble(tab, seconds)
        (pressed, *_), updated = tab.evaluate("[window.pressed, window.updated]")
        figures.append((updated[0] - pressed, len(updated) / seconds))
    return figures


def scribble(tab: Page, seconds: float) -> None:
    """Draw an 8 for some seconds with the mouse."""
    pad = tab.locator("#pad canvas").bounding_box()
    assert pad
    x, y, radius = pad["x"] + pad["width"] / 2, pad["y"] + pad["height"] / 2, pad["height"] * 0.3

    def point(share: float) -> tuple[float, float]:
        angle = 2 * math.pi * share
        return x + 0.6 * radius * math.sin(2 * angle), y - radius * math.cos(angle)

    tab.mouse.move(*point(0))
    tab.mouse.down()
    started = time.perf_counter()
    while (share := (time.perf_counter() - started) / seconds) < 1:
        tab.mouse.move(*point(share))
        time.sleep(MOVE_SECONDS)
    tab.mouse.up()


if __name__ == "__main__":
    main()
