"""Schema: validation of the values of every event, before they reach Gradio or a handler."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast, get_type_hints

import gradio as gr
from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, TypeAdapter, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError

SEND_THE_PICTURE = "Send the picture itself: upload it, then send its path with the cookie of that response."
"""The response to every path that is not an upload of this visitor, whether or not the file exists."""
PNG_URL = "data:image/png;base64,"
MAX_DRAWING_CHARACTERS = 2_000_000

Find = Callable[[str], Path | None]
"""Returns the file of an upload of this visitor, or None if the path is not one."""


def _own_upload(value: Any, info: ValidationInfo) -> dict[str, str]:
    """Return Gradio's description of a file, reduced to the path of an upload of this visitor."""
    find = cast("Find", info.context)
    path = value.get("path") if isinstance(value, dict) else None
    if isinstance(path, str) and find(path) is not None:
        return {"path": path}
    raise PydanticCustomError("upload", SEND_THE_PICTURE)


Upload = Annotated[dict[str, str], BeforeValidator(_own_upload)]
"""An upload of the visitor that sends the event."""
Drawing = Annotated[str, StringConstraints(max_length=MAX_DRAWING_CHARACTERS, pattern=f"^({PNG_URL}|$)")]
"""A PNG as a data URL; empty if the pad is empty."""
Text = Annotated[str, StringConstraints(max_length=1000)]

SHARED_SESSION = "page"
"""Gradio session that all visitors share. No event depends on it, and creating one per event takes 10 ms."""


class RefusedError(Exception):
    """A refused request: the HTTP status and a message for the client."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Call(BaseModel):
    """The fields of a request to Gradio that this page uses; all other fields are dropped."""

    data: list[Any]
    fn_index: Annotated[int, Field(strict=True)] | None = None
    session_hash: Annotated[str, StringConstraints(max_length=100)] | None = None


class Schema:
    """The events of a page, with the value types that their handlers declare."""

    def __init__(self, blocks: gr.Blocks) -> None:
        self._values: dict[int, TypeAdapter[Any]] = {}
        self._indices: dict[str, int] = {}
        self._public: set[int] = set()
        for index, event in blocks.fns.items():
            if event.fn is None:  # handled in the browser
                continue
            types = get_type_hints(event.fn, include_extras=True)
            types.pop("return")
            accepted = tuple(kind for kind in types.values() if kind is not gr.Request)
            self._values[index] = TypeAdapter(tuple[accepted] if accepted else tuple[()])  # type: ignore[valid-type]
            self._indices[str(event.api_name)] = index
            if event.api_visibility == "public":
                self._public.add(index)

    def check(self, body: bytes, name: str, find: Find) -> bytes:
        """Return a request to run an event directly, reduced to its checked values.

        Args:
            body: the request as JSON.
            name: name of the event, for a request without an index.
            find: returns the upload at a path.

        Raises:
            RefusedError: the body is not a valid request, the event does not exist, or a value has the wrong type.
        """
        call = _parse(body)
        index = self._indices.get(name) if call.fn_index is None else call.fn_index
        return self._checked(call, index, find, SHARED_SESSION)

    def check_queued(self, body: bytes, find: Find) -> bytes:
        """Return a request to queue an event, reduced to its checked values; only public events may be queued.

        Raises:
            RefusedError: as in `check`, or the request has no session for the response.
        """
        call = _parse(body)
        if not call.session_hash or call.fn_index not in self._public:
            raise RefusedError(
                404, "This event does not exist or cannot be queued; /gradio_api/info lists the public events."
            )
        return self._checked(call, call.fn_index, find, call.session_hash)

    def _checked(self, call: Call, index: int | None, find: Find, session: str) -> bytes:
        if index not in self._values:
            raise RefusedError(404, "This event does not exist; /gradio_api/info lists the public events.")
        try:
            data = self._values[index].validate_python(tuple(call.data), strict=True, context=find)
        except ValidationError as error:
            raise RefusedError(422, _summarise(error)) from None
        return json.dumps({"data": data, "fn_index": index, "session_hash": session}).encode()


def _parse(body: bytes) -> Call:
    try:
        return Call.model_validate_json(body)
    except ValidationError as error:
        raise RefusedError(422, _summarise(error)) from None


def _summarise(error: ValidationError) -> str:
    """Return the first error of a request in one line, without repeating any input."""
    faults = error.errors(include_url=False, include_input=False, include_context=False)
    first = next((fault for fault in faults if fault["type"] == "upload"), faults[0])
    if first["type"] == "upload":
        return SEND_THE_PICTURE
    place = ".".join(map(str, first["loc"]))
    return f"Invalid request: {place}: {first['msg']}." if place else f"Invalid request: {first['msg']}."
