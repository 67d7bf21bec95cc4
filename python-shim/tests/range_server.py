"""A small HTTP server of files, with byte ranges, that can hold a transfer in the middle."""

from __future__ import annotations

import hashlib
import re
import sys
import threading
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

_CHUNK_BYTES = 64 * 1024


@dataclass
class Hold:
    """Stops a path's transfers, all together, once they have sent a number of bytes."""

    after_bytes: int
    reached: threading.Event = field(default_factory=threading.Event)
    released: threading.Event = field(default_factory=threading.Event)


class _QuietServer(ThreadingHTTPServer):
    """A client that goes away in the middle is part of the tests, not an error to print."""

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class RangeServer:
    """Serves registered paths on loopback from entering to leaving it; safe from any thread."""

    def __init__(self) -> None:
        self._bodies: dict[str, bytes] = {}
        self._statuses: dict[str, int] = {}
        self._holds: dict[str, Hold] = {}
        self._pauses: dict[str, float] = {}
        self._bytes_sent: Counter[str] = Counter()
        self._requests: list[tuple[str, str, str | None]] = []
        self._lock = threading.Lock()
        self._server = _QuietServer(("127.0.0.1", 0), self._handler_class())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))

    def __enter__(self) -> RangeServer:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for hold in self._holds.values():
            hold.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, path: str, body: bytes) -> str:
        """Registers a file and returns its url."""
        self._bodies[path] = body
        return self.url(path)

    def refuse(self, path: str, status: int) -> str:
        """Has a path answered with a status, and returns its url."""
        self._statuses[path] = status
        return self.url(path)

    def hold(self, path: str, after_bytes: int) -> Hold:
        """Holds a path's bodies after so many bytes of all of them together."""
        self._holds[path] = Hold(after_bytes)
        return self._holds[path]

    def slow_down(self, path: str, seconds_per_chunk: float) -> None:
        """Lets a path's bodies wait before each 64 KiB."""
        self._pauses[path] = seconds_per_chunk

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    @property
    def requests(self) -> list[tuple[str, str, str | None]]:
        """Method, target and Range field of each request so far."""
        with self._lock:
            return list(self._requests)

    def bytes_sent(self, path: str) -> int:
        """Body bytes of a path that have gone out, the chunks just being written included."""
        with self._lock:
            return self._bytes_sent[path]

    def _handler_class(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                server._answer(self)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path.partition("?")[0]
        wanted = handler.headers.get("Range")
        with self._lock:
            self._requests.append((handler.command, handler.path, wanted))
        body = self._bodies.get(path)
        if path in self._statuses or body is None:
            handler.send_response(self._statuses.get(path, 404))
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if handler.headers.get("If-Range", etag) != etag:
            wanted = None
        first, last = 0, len(body) - 1
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", wanted or "")
        if match is not None:
            first = int(match[1])
            last = min(last, int(match[2] or last))
            if first > last:
                handler.send_response(416)
                handler.send_header("Content-Range", f"bytes */{len(body)}")
                handler.send_header("Content-Length", "0")
                handler.end_headers()
                return
        handler.send_response(200 if match is None else 206)
        handler.send_header("Accept-Ranges", "bytes")
        handler.send_header("ETag", etag)
        handler.send_header("Content-Type", "application/octet-stream")
        handler.send_header("Content-Length", str(last - first + 1))
        if match is not None:
            handler.send_header("Content-Range", f"bytes {first}-{last}/{len(body)}")
        handler.end_headers()
        try:
            self._send(handler, path, memoryview(body)[first : last + 1])
        except OSError:  # the client left, as it may
            handler.close_connection = True

    def _send(self, handler: BaseHTTPRequestHandler, path: str, body: memoryview) -> None:
        # What asks for a single byte looks whether the file is still the same, and holds up nobody.
        hold = self._holds.get(path) if len(body) > 1 else None
        pause = threading.Event()
        for start in range(0, len(body), _CHUNK_BYTES):
            chunk = body[start : start + _CHUNK_BYTES]
            with self._lock:
                is_held = hold is not None and self._bytes_sent[path] >= hold.after_bytes
                if not is_held:
                    self._bytes_sent[path] += len(chunk)
            if hold is not None and is_held:
                hold.reached.set()
                hold.released.wait()
                with self._lock:
                    self._bytes_sent[path] += len(chunk)
            pause.wait(self._pauses.get(path, 0.0))
            handler.wfile.write(chunk)
