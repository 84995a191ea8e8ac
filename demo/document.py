"""The HTML document: Gradio's, with the page's own head and a first screen to draw on while Gradio loads."""

import json
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo.static_files import STATIC, URL_PATH
from demo.strokes import DIGIT_PITCH, strokes_of

TITLE = "Digit Recognizer"
DESCRIPTION = "Draw a number. A small neural network reads its digits and tells odd from even."
INVITATION = "Your number appears here as you draw."
EXAMPLES = ["7", "42", "2025"]
STYLES = ["tokens.css", "layout.css", "controls.css", "pad.css", "result.css", "tabs.css"]
_GRADIOS_HEAD = re.compile(rb'<meta (?:property="og:|name="twitter:)[^>]*>|<link rel="manifest"[^>]*>')
_GRADIOS_STYLE = b'<link rel="stylesheet" crossorigin'
_LATE_STYLE = b'<link rel="stylesheet" media="print" onload="this.media=\'all\'" crossorigin'
"""The first screen does not wait for Gradio's style; its place before the styles of the components stays."""
_CONFIG = re.compile(rb"window\.gradio_config = (.*?);</script>")
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True, undefined=StrictUndefined
)


class Document:
    """ASGI middleware: completes the document that Gradio renders.

    Args:
        app: Gradio's application.
        login: whether the page requires a login, and therefore offers a way to sign out.
    """

    def __init__(self, app: ASGIApp, login: bool) -> None:
        self.app = app
        self.login = login

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Complete the document, or forward any other request."""
        if scope["type"] != "http" or (scope["method"], scope["path"]) != ("GET", "/"):
            await self.app(scope, receive, send)
            return
        start: Message = {}
        body = b""

        async def collect(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
            body += message.get("body", b"")

        await self.app(scope, receive, collect)
        if start["status"] == 200:
            body = complete(body, self.login)
        headers = [(name, value) for name, value in start["headers"] if name != b"content-length"]
        await send({**start, "headers": [*headers, (b"content-length", str(len(body)).encode())]})
        await send({"type": "http.response.body", "body": body})


def complete(html: bytes, login: bool) -> bytes:
    """Return Gradio's document with the page's head, header and pad; the login page for a visitor who must sign in."""
    found = _CONFIG.search(html)
    assert found, "Gradio's document has no configuration"
    config = json.loads(found[1])
    values = {
        "address": f"{config['root'].rstrip('/')}/",
        "theme": f"theme.css?v={config.get('theme_hash', '')}",
        "login": login,
    }
    if config.get("auth_required"):
        return render("login.html", **values)
    html = _GRADIOS_HEAD.sub(b"", html)
    html = html.replace(_GRADIOS_STYLE, _LATE_STYLE)
    html = html.replace(b"</head>", render("head.html", **values) + b"</head>", 1)
    return html.replace(b"<gradio-app", render("first.html", **values) + b"<gradio-app", 1)


def render(template: str, **values: object) -> bytes:
    """Return a template of `demo/templates` with these values and those that all of them share."""
    shared = {
        "title": TITLE,
        "description": DESCRIPTION,
        "invitation": INVITATION,
        "static": URL_PATH,
        "styles": STYLES,
        "scripts": sorted(_modules("page.js")),
        "examples": list(map(_example, EXAMPLES)),
    }
    return _TEMPLATES.get_template(template).render(shared | values).encode()


def _modules(name: str) -> set[str]:
    """Return a module and those that it imports at once; those that it imports later are not needed to draw."""
    imported = re.findall(
        r'^(?:import|export) .*"\./([\w.]+)";$', (STATIC / name).read_text(encoding="utf-8"), re.MULTILINE
    )
    return {name}.union(*map(_modules, imported))


def _example(number: str) -> dict[str, object]:
    """Return a number that the pad can draw by itself, as lines of an SVG picture."""
    strokes = [" ".join(f"{x},{y}" for x, y in stroke) for stroke in strokes_of(number)]
    return {"number": number, "width": len(number) * DIGIT_PITCH + 1, "strokes": strokes}
