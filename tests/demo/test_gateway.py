"""Requests of untrusted clients: every route, every event, and values of every type."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from helpers.page import Page, draw_number, encode_image, upload
from helpers.paths import PROJECT

from demo.gateway import MAX_UPLOAD_BYTES
from demo.schema import PNG_URL, SEND_THE_PICTURE

FILE = {"_type": "gradio.FileData"}
SEVEN = encode_image(draw_number("7"))
ANSWER = {"error": SEND_THE_PICTURE, "detail": SEND_THE_PICTURE}
EVENTS: dict[str, tuple[int, list[Any]]] = {
    "read": (0, [None]),
    "upload": (0, [None, "sketchpad", False]),
    "correct_upload": (0, [None, "7", "sketchpad"]),
}
"""Events with a picture: the index of the picture among their values, and otherwise valid values."""


@pytest.fixture(scope="module")
def own(client: httpx.Client) -> str:
    """Return the path of a picture that the visitor has uploaded."""
    path: str = upload(client, "7.png", SEVEN).json()[0]
    return path


def indices(client: httpx.Client) -> dict[str, int]:
    """Return the index of each event from the page's configuration."""
    return {event["api_name"]: event["id"] for event in client.get("/config").json()["dependencies"]}


def with_picture(event: str, picture: Any) -> list[Any]:
    """Return an event's values with this picture."""
    index, values = EVENTS[event]
    return [*values[:index], picture, *values[index + 1 :]]


def run(client: httpx.Client, event: str, data: Any, by: str = "name") -> httpx.Response:
    """Send an event by name, by index, or to Gradio's queue."""
    if by == "name":
        return client.post(f"/gradio_api/run/{event}", json={"data": data})
    body = {"data": data, "fn_index": indices(client)[event], "session_hash": "stranger"}
    return client.post("/gradio_api/run/predict" if by == "index" else "/gradio_api/queue/join", json=body)


# Values: pictures

FOREIGN: dict[str, Callable[[Path, str], Any]] = {
    "a picture of the machine": lambda private, _: {"path": str(private)},
    "with meta": lambda private, _: {"path": str(private), "meta": FILE},
    "with a url": lambda private, _: {"path": str(private), "url": f"http://127.0.0.1/gradio_api/file={private}"},
    "with a name": lambda private, _: {"path": str(private), "orig_name": "7.png", "mime_type": "image/png"},
    "as a stream": lambda private, _: {"path": str(private), "is_stream": True, "meta": FILE},
    "a file that is empty": lambda private, _: {"path": str(private.with_name("empty.png"))},
    "a file that is no picture": lambda *_: {"path": "/etc/passwd", "meta": FILE},
    "no file": lambda *_: {"path": "/nowhere/7.png"},
    "a folder": lambda private, _: {"path": str(private.parent)},
    "the folder of the upload": lambda _, own: {"path": str(Path(own).parent)},
    "up from the upload": lambda private, own: {"path": f"{own}/../../../..{private}"},
    "relative": lambda *_: {"path": "../../etc/passwd", "meta": FILE},
    "of the project": lambda *_: {"path": str(PROJECT / "docs" / "demo.png"), "meta": FILE},
    "file:": lambda private, _: {"path": f"file://{private}"},
    "file: as the url": lambda private, _: {"url": f"file://{private}", "meta": FILE},
    "http:": lambda *_: {"path": "http://127.0.0.1/", "meta": FILE},
    "a data URL": lambda *_: {"path": "data:text/html;base64,PGI+", "meta": FILE},
    "a data URL as the url": lambda *_: {"path": None, "url": "data:image/svg+xml,<svg/>"},
    "an upload and a NUL": lambda _, own: {"path": f"{own}\0.png"},
    "NUL": lambda *_: {"path": "\0"},
    "an empty path": lambda *_: {"path": ""},
    "10,000 characters": lambda *_: {"path": "/a" * 5000},
    "a path that is a number": lambda *_: {"path": 7},
    "a path that is a list": lambda private, _: {"path": [str(private)]},
    "a path that is an upload": lambda private, _: {"path": {"path": str(private)}},
    "no path": lambda *_: {},
    "text": lambda private, _: str(private),
    "a number": lambda *_: 7,
    "true": lambda *_: True,
    "a list": lambda private, _: [{"path": str(private)}],
    "an upload in a list": lambda _, own: [{"path": own}],
}


@pytest.mark.parametrize("by", ["name", "index"])
@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("value", FOREIGN)
def test_every_path_except_an_own_upload_gets_the_same_response(
    client: httpx.Client, private: Path, own: str, value: str, event: str, by: str
) -> None:
    picture = FOREIGN[value](private, own)
    body = json.dumps(
        {"data": with_picture(event, picture), "fn_index": indices(client)[event] if by == "index" else None}
    )
    answer = client.post(f"/gradio_api/run/{event}", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()) == (422, ANSWER)


@pytest.mark.parametrize("value", FOREIGN)
def test_the_queue_gives_the_same_response(client: httpx.Client, private: Path, own: str, value: str) -> None:
    body = {"data": [FOREIGN[value](private, own)], "fn_index": indices(client)["read"], "session_hash": "stranger"}
    headers = {"Content-Type": "application/json"}
    answer = client.post("/gradio_api/queue/join", content=json.dumps(body), headers=headers)
    assert (answer.status_code, answer.json()) == (422, ANSWER)


def test_symbolic_links_to_other_files_are_refused(client: httpx.Client, private: Path) -> None:
    mine = Path(upload(client, "7.png", SEVEN).json()[0])
    link = mine.with_name("link.png")
    link.symlink_to(private)
    assert run(client, "read", [{"path": str(link)}]).json() == ANSWER
    mine.unlink()
    mine.symlink_to(private)
    assert run(client, "read", [{"path": str(mine)}]).json() == ANSWER
    assert client.get(f"/gradio_api/file={mine}").status_code == 404


@pytest.mark.parametrize("event", EVENTS)
def test_an_own_upload_is_read_with_and_without_what_gradio_adds(client: httpx.Client, own: str, event: str) -> None:
    for more in ({}, {"meta": FILE}, {"meta": FILE, "orig_name": "7.png", "url": "http://elsewhere/7.png", "size": 1}):
        answer = run(client, event, with_picture(event, {"path": own, **more}))
        assert answer.status_code == 200
        assert "7" in str(answer.json()["data"])


def test_an_empty_upload_shows_the_invitation(client: httpx.Client) -> None:
    assert "Upload a photo" in run(client, "upload", [None, "sketchpad", False]).json()["data"][0]
    assert run(client, "read", [None]).json() == ANSWER


# Visitors


def test_no_visitor_can_use_the_upload_of_another(page: Page, client: httpx.Client, own: str) -> None:
    for cookies in ({}, {"visitor": ""}, {"visitor": "../.."}, {"visitor": "0" * 32}, {"visitor": "x" * 32}):
        with httpx.Client(base_url=page.address, timeout=60, cookies=cookies) as other:
            for event in EVENTS:
                for by in ("name", "index"):
                    answer = run(other, event, with_picture(event, {"path": own, "meta": FILE}), by)
                    assert (answer.status_code, answer.json()) == (422, ANSWER)
            assert run(other, "read", [{"path": own}], by="queue").json() == ANSWER
            assert other.get(f"/gradio_api/file={own}").status_code == 404
    assert client.get(f"/gradio_api/file={own}").content == SEVEN


def test_a_visitor_is_identified_by_an_http_only_cookie(page: Page) -> None:
    cookie = httpx.get(page.address).headers["set-cookie"]
    assert re.fullmatch("visitor=[0-9a-f]{32}; Path=/; HttpOnly; SameSite=Lax", cookie)
    secure = httpx.get(page.address, headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]
    assert secure.endswith("HttpOnly; SameSite=None; Secure; Partitioned")
    with httpx.Client(base_url=page.address) as visitor:
        visitor.get("/")
        assert "set-cookie" not in visitor.get("/").headers


@pytest.mark.parametrize("kind", ["svg", "html", "png"])
def test_an_upload_never_runs_as_a_page(client: httpx.Client, kind: str) -> None:
    path = upload(
        client, f"7.{kind}", b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
    ).json()[0]
    shown = client.get(f"/gradio_api/file={path}")
    assert shown.headers["content-type"] == ("image/png" if kind == "png" else "application/octet-stream")
    assert shown.headers["x-content-type-options"] == "nosniff"


# Values: all others


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("draw", ["data:text/html;base64,PGI+", "sketchpad", False]),
        ("draw", ["data:image/svg+xml,<svg/>", "sketchpad", False]),
        ("draw", ["file:///etc/passwd", "sketchpad", False]),
        ("draw", [7, "sketchpad", False]),
        ("draw", [{"path": "/etc/passwd", "meta": FILE}, "sketchpad", False]),
        ("draw", [PNG_URL + 2_000_000 * "A", "sketchpad", False]),
        ("draw", [None, ["sketchpad"], False]),
        ("draw", [None, None, False]),
        ("draw", [None, "sketchpad", "no"]),
        ("draw", [None, "sketchpad", 0]),
        ("draw", [None, "sketchpad"]),
        ("draw", [None, "sketchpad", False, None]),
        ("draw", []),
        ("upload", [None, {"path": "/etc/passwd", "meta": FILE}, False]),
        ("correct_drawing", [None, 7, "sketchpad"]),
        ("correct_drawing", [None, {"path": "/etc/passwd", "meta": FILE}, "sketchpad"]),
        ("correct_drawing", [None, 2000 * "7", "sketchpad"]),
        ("correct_upload", [None, "7", []]),
        ("correct_upload", [None]),
        ("runs", [None]),
        ("figures", [7]),
        ("figures", [{"path": "/etc/passwd", "meta": FILE}]),
        ("read", []),
        ("read", [None, None]),
        ("read", None),
        ("read", {"path": "/etc/passwd"}),
        ("read", "/etc/passwd"),
    ],
)
@pytest.mark.parametrize("by", ["name", "index"])
def test_a_value_of_the_wrong_type_is_refused_in_one_line(client: httpx.Client, event: str, data: Any, by: str) -> None:
    answer = run(client, event, data, by)
    assert answer.status_code == 422
    assert "\n" not in answer.json()["error"]
    assert "passwd" not in answer.text


@pytest.mark.parametrize("run_name", ["/etc", "../sketchpad", "", "\0", "sketchpad/", "nowhere"])
@pytest.mark.parametrize("event", ["draw", "figures", "correct_drawing"])
def test_an_unknown_run_is_refused(client: httpx.Client, event: str, run_name: str) -> None:
    drawing = PNG_URL + "AAAA"
    data = {"draw": [drawing, run_name, False], "figures": [run_name], "correct_drawing": [drawing, "7", run_name]}
    answer = run(client, event, data[event])
    assert answer.status_code == 200
    assert answer.json()["data"][0] == "" or "problem" in answer.json()["data"][0]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'{"data": [null]',
        b'{"fn_index": 0}',
        b'{"data": [], "fn_index": "0"}',
        b'{"data": [], "fn_index": true}',
        b'{"data": [], "fn_index": 1.5}',
        b'{"data": ' + 100_000 * b"[" + 100_000 * b"]" + b"}",
        b'{"data": [' + 5000 * b"9" + b"]}",
        b'{"data": [NaN]}',
        b'{"data": ["\xff"]}',
        b'{"data": [{"path": "\\ud800"}]}',
        b'{"data": [], "session_hash": ["a"]}',
        b'{"data": [], "session_hash": "' + 200 * b"a" + b'"}',
    ],
    ids=lambda body: body[:40].decode(errors="replace"),
)
@pytest.mark.parametrize("path", ["run/read", "run/predict", "queue/join"])
def test_a_malformed_body_is_refused(client: httpx.Client, path: str, body: bytes) -> None:
    answer = client.post(f"/gradio_api/{path}", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {404, 422}
    assert "\n" not in answer.json()["error"]


@pytest.mark.parametrize("index", [-1, 999, 10**30])
@pytest.mark.parametrize("path", ["run/predict", "queue/join"])
def test_an_event_that_does_not_exist_is_not_found(client: httpx.Client, path: str, index: int) -> None:
    body = {"data": [], "fn_index": index, "session_hash": "stranger"}
    assert client.post(f"/gradio_api/{path}", json=body).status_code in {404, 422}


def test_only_the_endpoint_may_be_queued_and_browser_events_may_not_be_run(client: httpx.Client) -> None:
    for name, index in indices(client).items():
        body = {"data": [], "fn_index": index, "session_hash": "stranger"}
        assert client.post("/gradio_api/queue/join", json=body).status_code == (422 if name == "read" else 404)
    (in_browser,) = (event["id"] for event in client.get("/config").json()["dependencies"] if not event["backend_fn"])
    assert client.post("/gradio_api/run/predict", json={"data": [], "fn_index": in_browser}).status_code == 404


@pytest.mark.parametrize("name", ["nothing", "../read", "read/../draw", "%00", "", "read/", "predict"])
def test_an_event_with_an_unknown_name_is_not_found(client: httpx.Client, name: str) -> None:
    assert client.post(f"/gradio_api/run/{name}", json={"data": [None]}).status_code in {404, 422}


# Requests


def test_a_body_is_json_with_its_size_and_within_the_limit(client: httpx.Client) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = client.post("/gradio_api/run/read", content=b'{"data": [null]}', headers={"Content-Type": kind})
        assert answer.status_code == 415
    assert client.post("/gradio_api/run/read", content=iter([b"{}"])).status_code == 411
    assert client.post("/gradio_api/upload", content=iter([b"{}"])).status_code == 411
    for path in ("run/draw", "run/predict", "queue/join"):
        assert client.post(f"/gradio_api/{path}", content=bytes(4_000_000)).status_code == 413
    assert upload(client, "big.png", bytes(MAX_UPLOAD_BYTES + 20_000)).status_code == 413
    assert client.post("/login", content=bytes(20_000)).status_code == 413
    assert client.request("GET", "/", content=b"a body").status_code == 413


@pytest.mark.parametrize("query", ["page=nope", "deep_link=x", "page[]=", "__theme=dark"])
def test_parameters_of_the_address_cannot_break_the_page(client: httpx.Client, page: Page, query: str) -> None:
    assert client.get(f"/?{query}").text == client.get("/").text
    assert page.log == ""


def part(of: bytes) -> bytes:
    """Return a form with one part."""
    return b"--x\r\nContent-Disposition: form-data" + of + b"\r\n\r\n7\r\n--x--\r\n"


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "multipart/form-data"),
        (b"nothing", "multipart/form-data; boundary=x"),
        (b"nothing", "text/plain"),
        (b"files=7", "application/x-www-form-urlencoded"),
        (
            b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\n7\r\n--x--\r\n',
            "multipart/form-data; boundary=x",
        ),
        (b"--x\r\nContent-Disposition: form-data\r\n\r\n7\r\n--x--\r\n", "multipart/form-data; boundary=x"),
    ],
)
def test_an_upload_without_a_file_is_refused(client: httpx.Client, content: bytes, kind: str) -> None:
    assert client.post("/gradio_api/upload", content=content, headers={"Content-Type": kind}).status_code == 400


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("7.png", "7.png"),
        ("../../../etc/7.png", "7.png"),
        ("C:\\Users\\ada\\7.png", "7.png"),
        ("..", "file"),
        ("", "file"),
        ("...", "file"),
        ("七 (1).png", "七 (1).png"),
        (300 * "7" + ".png", 196 * "7" + ".png"),
    ],
)
def test_the_name_of_an_upload_stays_a_name(client: httpx.Client, name: str, kept: str) -> None:
    answer = client.post("/gradio_api/upload", files={"files": (name or " ", SEVEN)})
    assert Path(answer.json()[0]).name == kept


def test_another_site_gets_no_access(client: httpx.Client) -> None:
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}
    for path in ("/", "/config", "/gradio_api/run/read", "/gradio_api/upload"):
        assert client.options(path, headers=preflight).status_code == 404
    for headers in (preflight, {"Origin": "null"}, {"Origin": client.base_url.host}):
        answer = client.get("/config", headers=headers)
        assert not [name for name in answer.headers if name.startswith("access-control")]
