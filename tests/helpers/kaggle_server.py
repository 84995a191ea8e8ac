"""The part of Kaggle that its client talks to in this project, on the loopback, with faults on demand."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

from pipeline.kaggle.competition import Limits

NAME, KEY, TOKEN = "entrant", "c0ffee00c0ffee00c0ffee00", "KGAT_of_the_tests"
QUICK = Limits(answer=30, download=30, upload=30, appearance=1, score=30, pause=0.1)
HERE = "http://localhost"
"""Where the client thinks it is; http_proxy leads it to the server."""


@dataclass
class Fault:
    """What a call gets in place of its answer: a status with a message, a cut connection, or silence."""

    status: int = 0
    message: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "answer"
    times: int | None = None
    after_the_deed: bool = False
    """Whether what was asked for is done all the same."""


class KaggleServer(ThreadingHTTPServer):
    """A competition with one entrant; `calls` are the methods in the order in which they came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[str] = []
        self.faults: dict[str, Fault] = {}
        self.submissions: list[dict[str, Any]] = []  # the newest first
        self.uploads: list[bytes] = []
        self.archive = b""
        self.headers: dict[str, str] = {}
        self.daily = 5
        self.pending = 0
        """How many looks at the list a new submission is not scored for."""
        self.result: dict[str, Any] = {"status": "COMPLETE", "publicScore": "0.99321"}
        self.silent = threading.Event()
        """Set as soon as a call is answered by silence."""
        self.left = threading.Event()
        """Set as soon as the client of such a call has gone."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """A client that was ended in the middle of a call is what some tests are about."""

    @property
    def environment(self) -> dict[str, str]:
        """What leads the unmodified client here, and keeps it from anywhere else."""
        return {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "http_proxy": f"http://127.0.0.1:{self.server_port}",
            "HTTP_PROXY": f"http://127.0.0.1:{self.server_port}",
            "https_proxy": "http://127.0.0.1:9",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "no_proxy": "",
            "NO_PROXY": "",
        }

    def answer(self, method: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Do what a method is for; return a status and a JSON object."""
        deeds: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "StartSubmissionUpload": lambda _: {"token": "upload", "createUrl": f"{HERE}/upload?signature=secret"},
            "CreateSubmission": self.create,
            "ListSubmissions": lambda _: {"submissions": [self.listed(each) for each in self.submissions]},
            "GetSubmission": lambda asked: next(each for each in self.submissions if each["ref"] == asked["ref"]),
            "GetSubmissionLimits": lambda _: {
                "numToday": len(self.submissions),
                "numTotal": len(self.submissions),
                "numAllowedNow": self.daily - len(self.submissions),
            },
            "GetLeaderboard": lambda _: {
                "submissions": [{"teamId": 7, "teamName": "the first", "score": "0.99900"}],
            },
            "IntrospectToken": lambda asked: {"active": asked["token"] == TOKEN, "username": NAME},
        }
        if method == "CreateSubmission" and len(self.submissions) >= self.daily:
            return 400, {"code": 400, "message": f"You have reached your daily submission limit of {self.daily}."}
        return 200, deeds[method](asked)

    def create(self, asked: dict[str, Any]) -> dict[str, Any]:
        number = 900 + len(self.submissions)
        made = {"ref": number, "description": asked["submissionDescription"], "fileName": "solution.csv", "looks": 0}
        made |= {"date": "2026-11-21T12:00:00Z", "content": self.uploads[-1].decode()}
        self.submissions.insert(0, made)
        return {"message": "Successfully submitted to Digit Recognizer", "ref": number}

    def listed(self, made: dict[str, Any]) -> dict[str, Any]:
        made["looks"] += 1
        waiting = {"status": "PENDING", "publicScore": ""}
        known = {name: made[name] for name in ("ref", "description", "fileName", "date")}
        made |= self.result
        return known | (waiting if made["looks"] <= self.pending else self.result)


class Handler(BaseHTTPRequestHandler):
    """Speaks HTTP for the server; the client comes by way of a proxy, so paths are whole addresses."""

    protocol_version = "HTTP/1.1"
    server: KaggleServer

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        method = urlsplit(self.path).path.rpartition("/")[2]
        self.server.calls.append(method)
        if method == "DownloadDataFiles":
            self.unless_faulty(method, lambda: (302, b"", {"Location": f"{HERE}/files/archive.zip?signature=secret"}))
            return

        def deed() -> tuple[int, bytes, dict[str, str]]:
            status, content = self.server.answer(method, json.loads(body or b"{}"))
            return status, json.dumps(content).encode(), {"Content-Type": "application/json"}

        self.unless_faulty(method, deed)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append("PUT")

        def deed() -> tuple[int, bytes, dict[str, str]]:
            self.server.uploads.append(content)
            return 200, b"{}", {}

        self.unless_faulty("PUT", deed)

    def do_GET(self) -> None:
        self.server.calls.append("GET")
        self.unless_faulty("GET", lambda: (200, self.server.archive, {"Content-Type": "application/zip"}))

    def unless_faulty(self, method: str, deed: Callable[[], tuple[int, bytes, dict[str, str]]]) -> None:
        """Answer with what the deed returns, or with the fault that is asked for."""
        fault = self.server.faults.get(method)
        if fault is None or fault.times == 0:
            self.say(*deed())
            return
        if fault.times:
            fault.times -= 1
        if fault.after_the_deed:
            deed()
        self.close_connection = True
        if fault.kind == "silence":
            self.server.silent.set()
            self.connection.recv(1)
            self.server.left.set()
        elif fault.kind == "half":
            status, content, headers = deed()
            self.say(status, content[: len(content) // 2], {**headers, "Content-Length": str(len(content))})
        elif fault.kind == "answer":
            as_json = fault.message is not None and not fault.message.startswith("<")
            content = json.dumps({"code": fault.status, "message": fault.message}) if as_json else fault.message or ""
            kind = "application/json" if as_json else "text/html"
            self.say(fault.status, content.encode(), {"Content-Type": kind, **fault.headers})

    def say(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | self.server.headers | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
