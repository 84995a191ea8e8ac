"""The page under load on this machine: it stays responsive, and frees memory and files afterwards."""

import re
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from threading import Event

import httpx
import pytest
from helpers.page import Page, draw_number, drawn, encode_image, upload
from helpers.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory and files are counted in Linux's /proc")
MAX_RESPONSE_SECONDS = 2
DRAWING = drawn("1", (240, 239))


@pytest.fixture(scope="module")
def sender(page: Page) -> Iterator[tuple[httpx.Client, str]]:
    """Yield a visitor and the path of its uploaded picture."""
    with httpx.Client(base_url=page.address, timeout=60) as client:
        yield client, upload(client, "7.png", encode_image(draw_number("7"))).json()[0]


@pytest.fixture(autouse=True)
def recovers(page: Page, sender: tuple[httpx.Client, str]) -> Iterator[None]:
    """Assert that a test leaves at most 50 MB more memory in use and no additional file."""
    with httpx.Client(base_url=page.address, timeout=60) as client, ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: draw(client), range(100)))  # the memory of the first readings stays allocated
    memory, files = used(page), kept(page)
    yield
    wait_until(lambda: used(page) < memory + 50, "memory is not freed", 30)
    assert kept(page) == files


def used(page: Page) -> float:
    """Return the memory use of the page in MB."""
    status = Path(f"/proc/{page.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000


def kept(page: Page) -> set[Path]:
    """Return the files in the page's temporary folder."""
    return {path for path in page.temporary.rglob("*") if path.is_file()}


def draw(client: httpx.Client) -> bool:
    """Read a drawing; return whether the result is correct."""
    answer = client.post("/gradio_api/run/draw", json={"data": [DRAWING, "sketchpad", False]})
    return answer.is_success and ">1<" in answer.json()["data"][0]


@contextmanager
def others(page: Page) -> Iterator[None]:
    """Use the page as another visitor; assert that each response is fast."""
    seconds: list[float] = []
    over = Event()

    def visit() -> None:
        with httpx.Client(base_url=page.address, timeout=60) as client:
            while len(seconds) < 5 or not over.is_set():
                started = time.monotonic()
                assert client.get("/").is_success
                assert draw(client)
                seconds.append(time.monotonic() - started)

    with ThreadPoolExecutor(1) as pool:
        visitor = pool.submit(visit)
        try:
            yield
        finally:
            over.set()
        visitor.result()
    assert max(seconds) < MAX_RESPONSE_SECONDS


def connect(page: Page, sent: bytes) -> socket.socket:
    """Open a connection and send a part of a request."""
    host, _, port = page.address.removeprefix("http://").partition(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(sent)
    return connection


def test_bodies_over_the_limit(page: Page) -> None:
    def send(place: int) -> int:
        with httpx.Client(base_url=page.address, timeout=60) as client:
            if place % 2:
                return upload(client, "big.png", bytes(25_000_000)).status_code
            return client.post("/gradio_api/run/draw", json={"data": [25_000_000 * "A", "", False]}).status_code

    with others(page), ThreadPoolExecutor(8) as pool:
        assert set(pool.map(send, range(40))) == {413}


def test_uploads_that_break_off(page: Page) -> None:
    head = (
        b"POST /gradio_api/upload HTTP/1.1\r\nHost: page\r\nContent-Length: 19000000\r\n"
        b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="7.png"\r\n\r\n'
    )
    with others(page):
        for _ in range(20):
            connect(page, head + bytes(3_000_000)).close()


def test_a_thousand_slow_connections(page: Page) -> None:
    body = b"POST /login HTTP/1.1\r\nHost: page\r\nContent-Length: 1000\r\n\r\nusername="
    deaf = b"GET / HTTP/1.1\r\nHost: page\r\n\r\n"
    kinds = [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: page\r\nX-A: ", body, deaf]
    with ExitStack() as connections, others(page):
        for place in range(1000):
            connections.enter_context(connect(page, kinds[place % len(kinds)]))
        files = Path(f"/proc/{page.pid}/fd")
        wait_until(lambda: len(list(files.iterdir())) < 300, "slow connections stay open", 30)


def test_five_hundred_requests_in_the_queue(page: Page, sender: tuple[httpx.Client, str]) -> None:
    client, path = sender
    events = client.get("/config").json()["dependencies"]
    (index,) = (event["id"] for event in events if event["api_name"] == "read")

    def join(place: int) -> int:
        body = {"data": [{"path": path}], "fn_index": index, "session_hash": f"{place}"}
        return client.post("/gradio_api/queue/join", json=body).status_code

    with others(page), ThreadPoolExecutor(50) as pool:
        assert set(pool.map(join, range(500))) <= {200, 503}


def test_two_thousand_readings(page: Page) -> None:
    with others(page), httpx.Client(base_url=page.address, timeout=60) as client, ThreadPoolExecutor(50) as pool:
        assert all(pool.map(lambda _: draw(client), range(2000)))


def test_three_hundred_readings_at_once_without_cookies(page: Page) -> None:
    limits = httpx.Limits(max_connections=None)
    with httpx.Client(base_url=page.address, timeout=60, limits=limits) as client:
        client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        with others(page), ThreadPoolExecutor(300) as pool:
            assert all(pool.map(lambda _: draw(client), range(300)))
