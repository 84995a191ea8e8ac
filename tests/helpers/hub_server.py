"""A stand-in for the Hugging Face Hub on the loopback interface, with one user and one token."""

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import urlsplit

TOKEN = "hf_of_the_tests"
OWNER = "me"
KEPT = {".gitattributes": b"*.safetensors filter=lfs", "notes.md": b"the owner's"}


class HubServer(ThreadingHTTPServer):
    """The Hub; it accepts text in a commit, and other files only as Git LFS objects, as the real one does.

    Attributes:
        repositories: the files of each Space and model.
        objects: the Git LFS objects by their SHA-256.
        commits: the number of commits.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.objects: dict[str, bytes] = {}
        self.commits = 0

    @property
    def address(self) -> str:
        """Return the URL for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server_port}"

    def __enter__(self) -> Self:
        """Serve in a background thread."""
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *args: object) -> None:
        """Stop."""
        self.shutdown()
        self.server_close()

    def answer(self, path: str, body: bytes) -> tuple[int, Any]:
        """Return the status and the JSON of a request to one of the Hub's routes that need a token."""
        name = "/".join(path.removeprefix("/api").split("/")[2:4])
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            url = f"{self.address}/{'spaces/' if asked.get('type') == 'space' else ''}{name}"
            if asked["organization"] != OWNER:
                return 403, {"error": f"You don't have the rights to create a repo under {asked['organization']}"}
            if name in self.repositories:
                return 409, {"error": "You already created this repo", "url": url}
            self.repositories[name] = dict(KEPT)
            return 200, {"url": url, "id": name}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if path.endswith("/preupload/main"):
            return 200, {"files": [_upload_mode(file) for file in json.loads(body)["files"]]}
        if path.endswith("/objects/batch"):
            return 200, {"objects": [self._place(each) for each in json.loads(body)["objects"]]}
        if path.endswith("/commit/main"):
            return 200, self._commit(name, body)
        if path.endswith("/tree/main"):
            files = self.repositories[name].items()
            return 200, [{"type": "file", "path": name, "size": len(text), "oid": "0"} for name, text in files]
        return 404, {"error": f"no route {path}"}

    def _place(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """Return where an LFS object is to be sent."""
        return wanted | {"actions": {"upload": {"href": f"{self.address}/objects/{wanted['oid']}"}}}

    def _commit(self, name: str, body: bytes) -> dict[str, Any]:
        """Apply a commit to the files of a repository."""
        files = self.repositories[name]
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.objects[value["oid"]]
            elif entry["key"] == "deletedFile":
                del files[value["path"]]
        self.commits += 1
        return {"commitUrl": f"{self.address}/spaces/{name}/commit/1", "commitOid": 40 * "1", "success": True}


def _upload_mode(file: dict[str, Any]) -> dict[str, Any]:
    """Return how the Hub wants a file: text in the commit, anything else as an LFS object."""
    is_text = b"\0" not in base64.b64decode(file["sample"])
    return {"path": file["path"], "uploadMode": "regular" if is_text else "lfs", "shouldIgnore": False, "oid": None}


class Handler(BaseHTTPRequestHandler):
    """Answers one client."""

    server: HubServer

    def do_POST(self) -> None:
        """Answer, if the token is right."""
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self.reply(401, {"error": "Invalid username or password."})
        else:
            self.reply(*self.server.answer(urlsplit(self.path).path, body))

    def do_GET(self) -> None:
        """Answer like a POST."""
        self.do_POST()

    def do_PUT(self) -> None:
        """Keep an LFS object."""
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.objects[self.path.rpartition("/")[2]] = content
        self.reply(200, {})

    def reply(self, status: int, answer: Any) -> None:
        """Send JSON."""
        content = json.dumps(answer).encode()
        self.send_response(status)
        if "error" in answer:
            self.send_header("X-Error-Message", answer["error"])
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Log nothing."""
