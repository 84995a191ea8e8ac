"""The page is rendered once for each address, and never for somebody else."""

import asyncio
from collections import Counter

import httpx
import pytest
from helpers.page import Page, serve_page
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from demo.page_cache import MAX_ADDRESSES, PageCache
from demo.predictors import PredictorPool


class Rendered:
    """A cached application that answers with the address asked for, and counts how often it is asked."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.count: Counter[str] = Counter()
        transport = httpx.ASGITransport(PageCache(self))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://page")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        url = str(Request(scope).url)
        self.count[url] += 1
        await PlainTextResponse(f"page of {url}", self.status)(scope, receive, send)

    def get(self, url: str, **headers: str) -> str:
        """Return the text of a response."""
        return asyncio.run(self.client.get(url, headers=headers)).text


def test_a_page_is_rendered_once_for_each_address() -> None:
    app = Rendered()
    for _ in range(3):
        assert app.get("http://page/") == "page of http://page/"
        assert app.get("http://other/") == "page of http://other/"
    assert app.count == {"http://page/": 1, "http://other/": 1}
    app.get("http://page/", **{"x-forwarded-proto": "https"})
    app.get("http://page/", **{"x-forwarded-host": "public.example"})
    assert app.count["http://page/"] == 3


@pytest.mark.parametrize("path", ["/?__theme=dark", "/config"])
def test_other_requests_are_forwarded(path: str) -> None:
    app = Rendered()
    assert [app.get(path) for _ in range(2)] == 2 * [f"page of http://page{path}"]
    assert app.count.total() == 2


def test_an_error_is_not_stored() -> None:
    app = Rendered(status=500)
    assert [app.get("/") for _ in range(2)] == 2 * ["page of http://page/"]
    assert app.count.total() == 2


def test_invented_addresses_do_not_fill_the_memory() -> None:
    app = Rendered()
    for place in range(MAX_ADDRESSES + 1):
        app.get(f"http://page{place}/")
    app.get(f"http://page{MAX_ADDRESSES}/")
    assert app.count.total() == MAX_ADDRESSES + 1
    app.get("http://page0/")
    assert app.count["http://page0/"] == 2


def test_each_visitor_of_a_stored_page_has_a_cookie_of_their_own(page: Page) -> None:
    def visit() -> httpx.Response:
        return httpx.get(page.address)

    first, second = visit(), visit()
    assert first.text == second.text
    assert first.headers["set-cookie"].startswith("visitor=")
    assert first.headers["set-cookie"] != second.headers["set-cookie"]


def test_a_page_with_a_login_is_not_stored(pool: PredictorPool) -> None:
    with serve_page(pool, "ada:1842") as address, httpx.Client(base_url=address) as member:
        member.post("/login", data={"username": "ada", "password": "1842"})
        assert "<gradio-app" in member.get("/").text
        assert "<gradio-app" not in httpx.get(address).text
