"""Every route: open, closed, or behind the login."""

import re
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import httpx
import pytest
from helpers.page import Page, draw_number, encode_image, serve_page, upload
from helpers.paths import PROJECT
from starlette.routing import Mount

from demo.app import build_page
from demo.gateway import ROUTES
from demo.predictors import PredictorPool
from demo.server import build_application
from demo.uploads import Uploads


@pytest.fixture(scope="module")
def locked(pool: PredictorPool) -> Iterator[httpx.Client]:
    """Yield a visitor without the password of a page that requires one."""
    with serve_page(pool, "ada:lovelace") as address, httpx.Client(base_url=address) as client:
        yield client


def gradio_routes(pool: PredictorPool) -> set[tuple[str, str]]:
    """Return the method and path of every route of the installed Gradio, with parameters replaced by 1."""
    with closing(Uploads()) as uploads:
        routes = build_application(build_page(pool, None), uploads, "", None).routes
    (mount,) = (route for route in routes if isinstance(route, Mount) and route.path == "")
    paths = mount.app.openapi()["paths"]
    return {(method.upper(), re.sub(r"\{[^}]+\}", "1", path)) for path in paths for method in paths[path]}


def test_every_route_of_gradio_that_is_not_listed_is_closed(
    client: httpx.Client, locked: httpx.Client, pool: PredictorPool
) -> None:
    found = gradio_routes(pool)
    assert len(found) > 60
    closed = {each for each in found if not any(route.matches(*each) for route in ROUTES)}
    assert {("GET", "/gradio_api/heartbeat/1"), ("POST", "/gradio_api/component_server")} <= closed
    for method, path in closed:
        for visitor in (client, locked):
            assert visitor.request(method, path, headers={"Content-Length": "0"}).status_code == 404, (method, path)


def status(client: httpx.Client, path: str) -> int:
    """Return the status of an unnormalised path; httpx would normalise it."""
    with closing(HTTPConnection(client.base_url.host, client.base_url.port, timeout=10)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status


CLOSED = [
    "/monitoring", "/monitoring/summary", "/docs", "/openapi.json", "/gradio_api/openapi.json", "/robots.txt",
    "/manifest.json", "/config/", "/gradio_api/info/", "/gradio_api/queue/status", "/gradio_api/heartbeat/1",
    "/gradio_api/file/etc/passwd", "/file=/etc/passwd", "/gradio_api/proxy=http://127.0.0.1/", "/gradio_api/runs",
    "/gradio_api/startup-events", "/gradio_api/token", "/gradio_api/user", "/gradio_api/app_id",
    "/gradio_api/dev/reload", "/gradio_api/vibe-code", "/gradio_api/mcp/sse", "/gradio_api/call/read", "//config",
    "/gradio_api/../config", "/svelte/x", "/custom_component/x", "/pwa_icon", "/gradio_api/deep_link", "/.git/config",
]  # fmt: skip


@pytest.mark.parametrize("path", CLOSED)
def test_unneeded_routes_are_closed(client: httpx.Client, locked: httpx.Client, path: str) -> None:
    for visitor in (client, locked):
        assert status(visitor, path) == 404


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd", "/gradio_api/file=README.md", "/gradio_api/file=http://127.0.0.1/",
        "/gradio_api/file=checkpoints/sketchpad/card.json", "/gradio_api/file=..%2F..%2Fetc/passwd",
        "/gradio_api/file=file:///etc/passwd", "/gradio_api/file=%00", "/gradio_api/file=", "/gradio_api/file=/tmp",
        "/assets/../../../../etc/passwd", "/assets/..%2F..%2F..%2Frequirements.txt", "/static/%2Fetc%2Fpasswd",
        "/static/..%2F..%2F__init__.py", "/assets/", "/assets/%00",
    ],
)  # fmt: skip
def test_only_uploads_and_the_page_itself_are_served(client: httpx.Client, private: Path, path: str) -> None:
    for address in (path, f"/gradio_api/file={private}"):
        assert status(client, address) in {400, 403, 404}


def test_with_a_password_only_the_login_is_open(locked: httpx.Client) -> None:
    for route in ROUTES:
        for method in route.methods.split():
            path = route.path.replace("*", "1")
            answer = (
                locked.request(method, path, json=7, timeout=10) if route.max_bytes else locked.request(method, path)
            )
            assert (answer.status_code == 401) is not route.public, (method, path)
    login = locked.get("/").text
    assert 'autocomplete="current-password"' in login
    assert "gradio_config" not in login
    assert locked.post("/login", data={"username": "ada", "password": "wrong"}).status_code == 400


def test_after_the_login_the_page_works(pool: PredictorPool) -> None:
    with serve_page(pool, "ada:lovelace") as address, httpx.Client(base_url=address, timeout=30) as ada:
        ada.post("/login", data={"username": "ada", "password": "lovelace"})
        seven = encode_image(draw_number("7"))
        path = upload(ada, "7.png", seven).json()[0]
        body = {"data": [{"path": path}]}
        assert ada.post("/gradio_api/run/read", json=body).json()["data"][0]["text"] == "7"
        assert ada.get(f"/gradio_api/file={path}").content == seven


def test_an_unknown_session_gets_no_results(client: httpx.Client, page: Page) -> None:
    answer = client.get("/gradio_api/queue/data", params={"session_hash": "nobody"})
    assert '"session_not_found":true' in answer.text
    assert client.get("/gradio_api/queue/data").status_code == 422
    assert page.log == ""


def test_a_websocket_is_not_opened(client: httpx.Client) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert client.get("/gradio_api/queue/join", headers=upgrade).status_code == 404
    assert client.get("/", headers=upgrade).status_code == 200


def test_the_documentation_lists_every_open_route_and_its_access() -> None:
    text = (PROJECT / "docs" / "deploy.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([A-Z ]+) (/\S*)` \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)
    anyone = {(methods, path): who.strip() == "anyone" for methods, path, who in rows}
    assert anyone == {(route.methods, route.path): route.public for route in ROUTES}
