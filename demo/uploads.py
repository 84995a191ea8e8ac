"""Uploads: pictures from visitors. Only its visitor can access an upload, and each is deleted within an hour."""

import asyncio
import logging
import mimetypes
import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from threading import Lock
from typing import BinaryIO

from fastapi import APIRouter, HTTPException, Request
from filelock import FileLock, Timeout
from gradio_client.utils import strip_invalid_filename_characters
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.responses import FileResponse

from demo.schema import SEND_THE_PICTURE

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it logs a warning for every malformed upload

LIFETIME_SECONDS = 50 * 60
MAX_BYTES = 500_000_000
SWEEP_SECONDS = 60
INLINE_TYPES = {"image/png", "image/jpeg", "image/gif", "image/bmp", "image/webp", "image/tiff"}
"""Types that a browser may open on the page's origin. Others, such as SVG, may contain scripts."""
PREFIX = "digit-recognizer-"
LOCK = ".lock"
"""Lock file that a running page holds. It distinguishes folders in use from those of killed processes."""

STARTING_SECONDS = 60
"""Maximum time between creating the folder and locking it."""


@dataclass(frozen=True)
class Upload:
    """A picture on disk.

    Attributes:
        path: the file.
        visitor: identifier of the visitor who uploaded it.
        size: size in bytes.
        received: time of arrival on the monotonic clock, in seconds.
    """

    path: Path
    visitor: str
    size: int
    received: float


class Uploads:
    """Stores uploads in a private folder.

    A path from a client is only looked up among the paths that this class has returned. It is never opened.

    Args:
        lifetime: seconds after which `sweep` deletes an upload.
        max_bytes: maximum total size. Above it, the oldest uploads are deleted first.
    """

    def __init__(self, lifetime: float = LIFETIME_SECONDS, max_bytes: int = MAX_BYTES) -> None:
        self.lifetime = lifetime
        self.max_bytes = max_bytes
        _delete_abandoned()
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX)).resolve()  # accessible only to this user
        self._in_use = FileLock(self.folder / LOCK)
        self._in_use.acquire()
        self._uploads: dict[str, Upload] = {}
        self._lock = Lock()

    def add(self, visitor: str, name: str, content: BinaryIO) -> str:
        """Store a picture of a visitor and return its path.

        Args:
            visitor: identifier of the visitor.
            name: file name. Folders and characters that some file systems forbid are removed.
            content: the file.
        """
        name = strip_invalid_filename_characters(PureWindowsPath(name).name)  # "/" and "\\" both separate folders
        folder = self.folder / secrets.token_hex(16)
        folder.mkdir()
        path = folder / (name.strip(" .") or "file")
        with path.open("xb") as file:
            shutil.copyfileobj(content, file)
        with self._lock:
            self._uploads[str(path)] = Upload(path, visitor, path.stat().st_size, time.monotonic())
        self.sweep()
        return str(path)

    def find(self, visitor: str, path: str) -> Path | None:
        """Return the upload of a visitor at a path, or None if the visitor has none there."""
        upload = self._uploads.get(path)
        if upload is None or upload.visitor != visitor or upload.path.resolve() != upload.path:
            return None
        return upload.path

    def sweep(self) -> None:
        """Delete expired uploads, then the oldest ones until the total size is within the limit."""
        oldest = time.monotonic() - self.lifetime
        with self._lock:
            total = sum(upload.size for upload in self._uploads.values())
            for path, upload in list(self._uploads.items()):  # in order of arrival
                if upload.received > oldest and total <= self.max_bytes:
                    break
                del self._uploads[path]
                total -= upload.size
                shutil.rmtree(upload.path.parent, ignore_errors=True)

    async def sweep_for_ever(self) -> None:
        """Call `sweep` every `SWEEP_SECONDS`."""
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            await run_in_threadpool(self.sweep)

    def close(self) -> None:
        """Delete the folder and everything in it."""
        self._in_use.release()
        shutil.rmtree(self.folder, ignore_errors=True)


def upload_routes(uploads: Uploads) -> APIRouter:
    """Return the routes that upload and return pictures. They replace those of Gradio."""
    routes = APIRouter(prefix="/gradio_api")

    @routes.post("/upload")
    async def upload(request: Request) -> list[str]:
        async with request.form(max_files=1, max_fields=1) as form:
            file = form.get("files")
            if not isinstance(file, UploadFile):
                raise HTTPException(400, SEND_THE_PICTURE)
            visitor, name = request.state.visitor, file.filename or ""
            return [await run_in_threadpool(uploads.add, visitor, name, file.file)]

    @routes.get("/upload_progress", status_code=204)
    async def upload_progress() -> None:
        """Report to Gradio's page that no progress is available."""

    @routes.get("/file={path:path}")
    async def show(path: str, request: Request) -> FileResponse:
        file = uploads.find(request.state.visitor, path)
        if file is None:
            raise HTTPException(404, SEND_THE_PICTURE)
        media_type, _ = mimetypes.guess_type(file)
        if media_type not in INLINE_TYPES:
            media_type = "application/octet-stream"
        return FileResponse(file, media_type=media_type, headers={"X-Content-Type-Options": "nosniff"})

    return routes


def _delete_abandoned() -> None:
    """Delete the folders that killed pages have left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < STARTING_SECONDS:
                continue
            with FileLock(folder / LOCK, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):  # in use, or owned by another user
            continue
