"""A fake Kaggle server on the loopback interface, with the API that this project uses and with injected faults."""

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
SERVER_URL = "http://localhost"
"""URL that the client uses; http_proxy redirects it to the server's port."""


@dataclass
class Fault:
    """A fault that replaces a response.

    Attributes:
        kind: "answer" sends the status and message, "half" sends half of the body, "silence" sends nothing until the
            client disconnects, and "cut" closes the connection.
        times: number of calls to fail; None fails all of them.
    """

    status: int = 0
    message: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    kind: str = "answer"
    times: int | None = None
    after_the_deed: bool = False
    """Whether the server carries out the request before it fails."""


class KaggleServer(ThreadingHTTPServer):
    """A competition with one entrant; `calls` lists the requested methods in order."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.calls: list[str] = []
        self.faults: dict[str, Fault] = {}
        self.submissions: list[dict[str, Any]] = []  # newest first
        self.uploads: list[bytes] = []
        self.archive = b""
        self.headers: dict[str, str] = {}
        self.daily = 5
        self.pending = 0
        """Number of list requests for which a new submission is still pending."""
        self.result: dict[str, Any] = {"status": "COMPLETE", "publicScore": "0.99321"}
        self.kernels: dict[str, dict[str, Any]] = {}
        """Pushed kernels by OWNER/NAME: the request that pushed each, and its number of "versions"."""
        self.outcome: dict[str, Any] = {"status": "COMPLETE"}
        """Status of a kernel that has ended, and "failureMessage"."""
        self.running = 0
        """Number of status requests for which a new kernel is still running."""
        self.push_answer: dict[str, Any] = {}
        """Fields of the answer to a push, such as "error"; with an error, no kernel is created."""
        self.outputs: dict[str, bytes] = {}
        """Output files of a kernel that has ended, by name."""
        self.kernel_log = ""
        self.silent = threading.Event()
        """Set when a request is left without a response."""
        self.left = threading.Event()
        """Set when the client of such a request has disconnected."""

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Ignore errors, because some tests kill the client in the middle of a request."""

    @property
    def environment(self) -> dict[str, str]:
        """Environment that directs the unmodified client to this server and blocks all other hosts."""
        return {
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "http_proxy": f"http://127.0.0.1:{self.server_port}",
            "HTTP_PROXY": f"http://127.0.0.1:{self.server_port}",
            "https_proxy": "http://127.0.0.1:9",
            "HTTPS_PROXY": "http://127.0.0.1:9",
            "no_proxy": "",
            "NO_PROXY": "",
        }

    def answer(self, method: str, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Carry out a request, and return a status and a JSON object."""
        methods: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "StartSubmissionUpload": lambda _: {
                "token": "upload",
                "createUrl": f"{SERVER_URL}/upload?signature=secret",
            },
            "CreateSubmission": self.create,
            "ListSubmissions": lambda _: {"submissions": [self.list_entry(each) for each in self.submissions]},
            "GetSubmission": lambda request: next(each for each in self.submissions if each["ref"] == request["ref"]),
            "GetSubmissionLimits": lambda _: {
                "numToday": len(self.submissions),
                "numTotal": len(self.submissions),
                "numAllowedNow": self.daily - len(self.submissions),
            },
            "GetLeaderboard": lambda _: {
                "submissions": [{"teamId": 7, "teamName": "the first", "score": "0.99900"}],
            },
            "SaveKernel": self.push_kernel,
            "GetKernelSessionStatus": self.kernel_status,
            "ListKernelSessionOutput": self.list_output,
            "IntrospectToken": lambda request: {"active": request["token"] == TOKEN, "username": NAME},
        }
        if method in ("GetKernelSessionStatus", "ListKernelSessionOutput") and _kernel_of(request) not in self.kernels:
            return 403, {"code": 403, "message": "Permission 'kernels.get' was denied"}
        if method == "CreateSubmission" and len(self.submissions) >= self.daily:
            return 400, {"code": 400, "message": f"You have reached your daily submission limit of {self.daily}."}
        return 200, methods[method](request)

    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """Add a submission of the last upload."""
        number = 900 + len(self.submissions)
        submission = {
            "ref": number,
            "description": request["submissionDescription"],
            "fileName": "solution.csv",
            "date": "2026-11-21T12:00:00Z",
            "content": self.uploads[-1].decode(),
            "times_listed": 0,
        }
        self.submissions.insert(0, submission)
        return {"message": "Successfully submitted to Digit Recognizer", "ref": number}

    def push_kernel(self, request: dict[str, Any]) -> dict[str, Any]:
        """Add a kernel, or a version of an existing one."""
        if "error" in self.push_answer:
            return self.push_answer
        versions = self.kernels.get(request["slug"], {"versions": 0})["versions"] + 1
        self.kernels[request["slug"]] = {**request, "versions": versions, "times_asked": 0}
        address = f"https://www.kaggle.com/code/{request['slug']}"
        return {"ref": f"/code/{request['slug']}", "url": address, "versionNumber": versions, **self.push_answer}

    def kernel_status(self, request: dict[str, Any]) -> dict[str, Any]:
        """Count a status request, and return the status: queued, then running, then the outcome."""
        kernel = self.kernels[_kernel_of(request)]
        kernel["times_asked"] += 1
        if kernel["times_asked"] > self.running:
            return self.outcome
        return {"status": "QUEUED" if kernel["times_asked"] == 1 else "RUNNING"}

    def list_output(self, _: dict[str, Any]) -> dict[str, Any]:
        """Return the output of a kernel: the addresses of its files, and its log in Kaggle's form."""
        files = [{"fileName": name, "url": f"{SERVER_URL}/output/{name}?signature=secret"} for name in self.outputs]
        pieces = [{"stream_name": "stderr", "time": 1.0, "data": f"{line}\n"} for line in self.kernel_log.splitlines()]
        return {"files": files, "log": json.dumps(pieces)}

    def list_entry(self, submission: dict[str, Any]) -> dict[str, Any]:
        """Count a list request, and return the submission as Kaggle lists it: pending at first, then scored."""
        submission["times_listed"] += 1
        pending = {"status": "PENDING", "publicScore": ""}
        fields = {name: submission[name] for name in ("ref", "description", "fileName", "date")}
        submission |= self.result
        return fields | (pending if submission["times_listed"] <= self.pending else self.result)


def _kernel_of(request: dict[str, Any]) -> str:
    """Return OWNER/NAME of the kernel that a request names."""
    return f"{request['userName']}/{request['kernelSlug']}"


class Handler(BaseHTTPRequestHandler):
    """HTTP handler of the server. The client uses it as a proxy; paths are therefore complete URLs."""

    protocol_version = "HTTP/1.1"
    server: KaggleServer

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        method = urlsplit(self.path).path.rpartition("/")[2]
        self.server.calls.append(method)
        if method == "DownloadDataFiles":
            location = f"{SERVER_URL}/files/archive.zip?signature=secret"
            self.respond_or_fail(method, lambda: (302, b"", {"Location": location}))
            return

        def respond() -> tuple[int, bytes, dict[str, str]]:
            status, content = self.server.answer(method, json.loads(body or b"{}"))
            return status, json.dumps(content).encode(), {"Content-Type": "application/json"}

        self.respond_or_fail(method, respond)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.calls.append("PUT")

        def respond() -> tuple[int, bytes, dict[str, str]]:
            self.server.uploads.append(content)
            return 200, b"{}", {}

        self.respond_or_fail("PUT", respond)

    def do_GET(self) -> None:
        self.server.calls.append("GET")
        name = urlsplit(self.path).path.removeprefix("/output/")
        content = self.server.outputs.get(name, self.server.archive)
        self.respond_or_fail("GET", lambda: (200, content, {"Content-Type": "application/zip"}))

    def respond_or_fail(self, method: str, respond: Callable[[], tuple[int, bytes, dict[str, str]]]) -> None:
        """Send the result of `respond`, or the fault that is set for the method."""
        fault = self.server.faults.get(method)
        if fault is None or fault.times == 0:
            self.send(*respond())
            return
        if fault.times:
            fault.times -= 1
        if fault.after_the_deed:
            respond()
        self.close_connection = True
        if fault.kind == "silence":
            self.server.silent.set()
            self.connection.recv(1)
            self.server.left.set()
        elif fault.kind == "half":
            status, content, headers = respond()
            self.send(status, content[: len(content) // 2], {**headers, "Content-Length": str(len(content))})
        elif fault.kind == "answer":
            as_json = fault.message is not None and not fault.message.startswith("<")
            content = json.dumps({"code": fault.status, "message": fault.message}) if as_json else fault.message or ""
            kind = "application/json" if as_json else "text/html"
            self.send(fault.status, content.encode(), {"Content-Type": kind, **fault.headers})

    def send(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | self.server.headers | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)
