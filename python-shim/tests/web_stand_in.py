"""ComfyUI's web server as the pack meets it: routes that a pack adds, and files of its folder.

:class:`WebServer` puts a module ``aiohttp.web`` in place that has what the pack uses of the real
one, gives a :class:`~comfy_stand_in.ComfyUI` its ``routes``, and serves them on loopback, with a
page that loads the pack's extension beside a stand-in of the front end's ``app``.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any

PAGE = """<!doctype html><meta charset="utf-8"><title>ComfyUI</title>
<body style="background: #202020; --comfy-menu-bg: #353535; --comfy-input-bg: #222;
 --input-text: #ddd; --descrip-text: #999; --border-color: #4e4e4e">
<main id="sidebar" style="width: 380px; height: 900px; background: #353535"></main>
<script type="module" src="/extensions/anymatix-fetcher/anymatix-fetcher.js"></script>
"""

APP = """
const tabs = [];
export const app = {
  workflow: {},
  refreshed: 0,
  toasts: [],
  graph: { serialize: () => app.workflow },
  refreshComboInNodes() { app.refreshed++; },
  registerExtension(extension) { app.extension = extension; extension.setup(); },
};
if (!location.search.includes("old")) {
  app.extensionManager = {
    registerSidebarTab(tab) { tabs.push(tab); tab.render(document.getElementById("sidebar")); },
    toast: { add: (message) => app.toasts.push(message) },
  };
}
window.app = app;
window.tabs = tabs;
"""

API = """
export const api = new EventTarget();
api.interrupts = 0;
api.interrupt = async () => { api.interrupts++; };
window.api = api;
"""


class Response:
    """What a handler answers."""

    def __init__(self, body: bytes, status: int, media_type: str, headers: dict[str, str]) -> None:
        self.body = body
        self.status = status
        self.media_type = media_type
        self.headers = headers


def json_response(data: Any, *, status: int = 200, headers: Any = None) -> Response:
    """An answer as ``aiohttp.web.json_response`` makes it."""
    return Response(json.dumps(data).encode(), status, "application/json", dict(headers or {}))


class Routes:
    """A route table with the two decorators that packs use."""

    def __init__(self) -> None:
        self.handlers: dict[tuple[str, str], Callable[[Any], Any]] = {}

    def get(self, path: str) -> Callable[[Any], Any]:
        return self._route("GET", path)

    def post(self, path: str) -> Callable[[Any], Any]:
        return self._route("POST", path)

    def _route(self, method: str, path: str) -> Callable[[Any], Any]:
        def add(handler: Any) -> Any:
            # A second handler of a path would never be called; the real server refuses to start.
            assert (method, path) not in self.handlers, f"{method} {path} is there already"
            self.handlers[method, path] = handler
            return handler

        return add


class _Transport:
    def __init__(self, peer: tuple[str, int]) -> None:
        self._peer = peer

    def get_extra_info(self, name: str) -> Any:
        return self._peer if name == "peername" else None


class _Request:
    def __init__(self, handler: BaseHTTPRequestHandler, peer: tuple[str, int]) -> None:
        self.method = handler.command
        self.headers = handler.headers
        length = handler.headers.get("Content-Length")
        self.content_length = int(length) if length is not None else None
        self.transport = _Transport(peer)
        self._file = handler.rfile

    async def read(self) -> bytes:
        return self._file.read(self.content_length or 0)


class WebServer:
    """Serves a stand-in ComfyUI's routes from entering to leaving it.

    ``peer`` is the address that callers seem to come from.
    """

    def __init__(self, comfy: Any, web_folder: Path) -> None:
        self.routes = Routes()
        self.peer: str | None = None
        self._web_folder = web_folder
        self._saved_modules: dict[str, ModuleType | None] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler_class())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        comfy.routes = self.routes

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._server.server_port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}/"

    def __enter__(self) -> WebServer:
        web: Any = ModuleType("aiohttp.web")
        web.json_response = json_response
        self._saved_modules["aiohttp.web"] = sys.modules.get("aiohttp.web")
        sys.modules["aiohttp.web"] = web
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, module in self._saved_modules.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _file(self, path: str) -> Response | None:
        prefix = "/extensions/anymatix-fetcher/"
        if path == "/":
            return Response(PAGE.encode(), 200, "text/html", {})
        scripts = {"/scripts/app.js": APP, "/scripts/api.js": API}
        if path in scripts:
            return Response(scripts[path].encode(), 200, "text/javascript", {})
        if path.startswith(prefix):
            file = self._web_folder / path[len(prefix) :]
            return Response(file.read_bytes(), 200, "text/javascript", {})
        return None

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                path = self.path.split("?")[0]
                route = server.routes.handlers.get((self.command, path))
                answer = server._file(path) if route is None else None
                if route is not None:
                    peer = (server.peer or self.client_address[0], self.client_address[1])
                    answer = asyncio.run(route(_Request(self, peer)))
                if answer is None:
                    answer = Response(b"", 404, "text/plain", {})
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.media_type)
                self.send_header("Content-Length", str(len(answer.body)))
                self.send_header("Connection", "close")
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer.body)
                self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                """Quiet."""

        return Handler
