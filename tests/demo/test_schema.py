"""Values of the wrong type: each request is refused with a status between 400 and 499 and one line, or is valid."""

import json
import random
from types import SimpleNamespace
from typing import Any

import pytest
from starlette.requests import HTTPConnection

from demo.app import build_page
from demo.gateway import _check_request
from demo.schema import RefusedError, Schema

VALUES: list[Any] = [
    None, True, 0, -1, 1.5, 10**30, "", "\0", "a\0b", "\ud800", 2000 * "x", [], [[]], {}, {"path": None},
    {"path": "\0"}, {"path": 5}, {"path": ["a"]}, {"path": "/etc/passwd"}, {"url": "http://x"},
    "data:image/png;base64,AAAA", "sketchpad",
]  # fmt: skip
RAW = [b"", b"{", b"null", b"\xff\xfe", b'{"data": ["\\ud800"]}', b"[" * 100_000, b'{"data": [NaN]}', b"1e999"]


@pytest.fixture(scope="module")
def schema() -> Schema:
    """The schema of the page. No predictor is needed, because nothing is read."""
    pool: Any = SimpleNamespace(first=SimpleNamespace(folder=SimpleNamespace(name="sketchpad")))
    return Schema(build_page(pool, None))


def assert_refused_or_valid(schema: Schema, body: bytes, name: str) -> bool:
    """Check a request as it would be run and as it would be queued; return whether one of them is valid."""
    valid = False
    for check in (lambda: schema.check(body, name, lambda _: None), lambda: schema.check_queued(body, lambda _: None)):
        try:
            json.loads(check())
            valid = True
        except RefusedError as refusal:
            assert 400 <= refusal.status < 500
            assert len(str(refusal).splitlines()) == 1
    return valid


def test_values_of_the_wrong_type_are_refused(schema: Schema) -> None:
    chance = random.Random(0)
    valid = 0
    for _ in range(3000):
        data = [chance.choice(VALUES) for _ in range(chance.randint(0, 4))]
        body = {"data": data, "fn_index": chance.choice([*range(10), *VALUES]), "session_hash": chance.choice(VALUES)}
        body.pop(chance.choice(["data", "fn_index", "session_hash", "nothing"]), None)
        content = json.dumps(chance.choice([body, body, body, data, chance.choice(VALUES)])).encode()
        valid += assert_refused_or_valid(schema, content, chance.choice(["read", "draw", "upload", "figures", "\0"]))
    assert 0 < valid < 300


@pytest.mark.parametrize("body", RAW)
def test_a_body_that_is_no_request_is_refused(body: bytes, schema: Schema) -> None:
    assert not assert_refused_or_valid(schema, body, "draw")


def test_a_path_with_a_name_that_is_too_long_does_not_exist() -> None:
    for path, status in ((f"/assets/{300 * 'a'}", 404), (f"/assets/{300 * chr(0xFF)}", 404)):
        scope = {"type": "http", "method": "GET", "path": path, "headers": []}
        with pytest.raises(RefusedError) as refusal:
            _check_request(HTTPConnection(scope))
        assert refusal.value.status == status
    assert _check_request(HTTPConnection({"type": "http", "method": "GET", "path": "/assets/a.js", "headers": []}))
