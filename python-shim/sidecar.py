"""Starts the sidecar process and speaks JSON-RPC with it. Knows nothing of ComfyUI.

One :class:`SidecarProcess` stands for the one JVM of this Python process: started on first use,
started again if it died, gone when this process goes. Any number of threads may call it at once.

Threads, each a daemon, per running JVM: a *writer* that owns stdin (so that a JVM that stopped
reading blocks nobody else), a *reader* that owns stdout and hands each message to the call it
belongs to, and a *log reader* that owns stderr. A caller waits in its own thread, and is called
back in its own thread only.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import logging
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Optional, cast

from . import notices
from .java_runtime import JavaNotFoundError, JavaRuntime, find_java
from .launch import ClassArchive, environment

JAR_NAME = "anymatix-fetcher.jar"

POLL_SECONDS = 0.05
"""How long a waiting caller goes at most without being asked whether it still wants to wait."""

CANCEL_SECONDS = 1.0
"""How long a cancelled request is given to answer, so that its part file is at rest."""

MAX_RESTARTS = 3
"""How often one request is repeated on a new process before it fails."""

_REGISTRY = "_anymatix_fetcher_processes"
"""A module that no file backs: a place that outlives a reload of the pack."""

_EXIT_SECONDS = 3.0
_LOG_LINE_BYTES = 8192
_LOG_LINES_PER_SECOND = 200

log = logging.getLogger("AnymatixFetcher")

Progress = dict[str, Any]
"""The ``value`` of a ``$/progress`` notification."""

OnUpdate = Callable[[Optional[Progress]], None]
"""Called in the waiting thread: with each progress value, and with None at least every 50 ms.

What it raises cancels the request and reaches the caller unchanged.
"""


Settings = Callable[[], Mapping[str, Any]]
"""Tells the params of ``initialize`` as they are at this moment."""


class SidecarError(RuntimeError):
    """The sidecar process cannot be used; the message is one sentence that says what to do."""


class RpcError(Exception):
    """A request was answered with an error; ``str()`` is its message."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        super().__init__(redact(str(error.get("message", "unknown error"))))
        self.code: int = error.get("code", 0)
        data = error.get("data")
        self.data: Mapping[str, Any] = data if isinstance(data, dict) else {}


class _ProcessDiedError(Exception):
    """The process ended, or was ended, before it answered."""


_SECRET_PAIR = re.compile(
    r"(?i)(?:(?<![\w-])|(?<=%[0-9a-f]{2}))"
    r"(token|api_key|apikey|access_token|sig|signature|x-amz-[a-z-]+)=[^&\s\"'#<>]+"
)
_BEARER = re.compile(r"(?i)\b(bearer)\s+[\w.~+/=-]+")
_USER_INFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s?#@]+@")
_MEGA_KEY = re.compile(
    r"(?i)(://(?:[\w-]+\.)*mega(?:\.co)?\.(?:nz|io)/[^\s#]*)#(?:(F?![\w-]+)[^\s\"']*|\S*)"
)


def redact(text: str) -> str:
    """The text without what opens a door.

    Values of credential parameters become ``***``; bearer tokens likewise; user information and
    Mega keys are left out. Works on a url and on any line that holds some.
    """
    text = _SECRET_PAIR.sub(r"\1=***", text)
    text = _BEARER.sub(r"\1 ***", text)
    text = _USER_INFO.sub(r"\1", text)
    return _MEGA_KEY.sub(lambda m: m[1] + (f"#{m[2]}" if m[2] else ""), text)


class SidecarProcess:
    """The one JVM of this Python process, seen as something that is always there.

    ``folder`` holds the jar, and a bundled runtime if there is one. ``jar`` and ``environ`` replace
    the jar beside the code and this process's environment. ``silence_seconds`` is how long the
    process may say nothing, pings included, before it counts as hung and is replaced; it bounds the
    start as well.

    Constructing one starts nothing.
    """

    def __init__(
        self,
        folder: Path,
        *,
        jar: Path | None = None,
        environ: Mapping[str, str] | None = None,
        silence_seconds: float = 30.0,
    ) -> None:
        self._folder = folder
        self._jar = jar if jar is not None else folder / JAR_NAME
        self._environ = environ
        self._silence_seconds = silence_seconds
        self._lock = threading.Lock()
        self._started: Future[_Jvm] | None = None
        self._owner_pid = os.getpid()
        self._closed = False
        self._running_requests = 0
        self._archive: ClassArchive | None = None
        self._is_replaced = False
        self._credentials: dict[str, str | None] = {}

    @property
    def pid(self) -> int | None:
        """The process id of the running JVM, or None if none is running."""
        jvm = self._live_jvm()
        return jvm.pid if jvm is not None else None

    def request(
        self,
        method: str,
        params: Mapping[str, Any],
        *,
        settings: Settings,
        on_update: OnUpdate,
    ) -> Any:
        """The result of one request, from a process that was initialized with ``settings()``.

        The process is started, or initialized again, as needed; the settings are asked for just
        before. If it dies in the middle the request is repeated on a new one: a fetch then goes on
        from the bytes on disk.

        Raises :class:`RpcError` if the process answers so, :class:`SidecarError` if no process can
        be had, and whatever ``on_update`` raises: then the request has been cancelled, and has
        answered or used up its second.
        """
        with self._lock:
            self._running_requests += 1
        try:
            return self._request(method, params, settings, on_update)
        finally:
            with self._lock:
                self._running_requests -= 1
            self._end_if_replaced()

    def hold_credentials(self, tokens: Mapping[str, str | None]) -> set[str]:
        """Keeps access tokens by site until ComfyUI ends; None forgets one.

        They are in memory only, and are named to the JVM, also to one that is started again, before
        its next request. The answer is the sites of which one is held, never a token.
        """
        with self._lock:
            self._credentials = {**self._credentials, **tokens}
            return {site for site, token in self._credentials.items() if token is not None}

    def given_credentials(self) -> Mapping[str, str | None]:
        """What :meth:`hold_credentials` was given, for the object that takes this one's place."""
        with self._lock:
            return self._credentials

    def _with_credentials(self, settings: Settings) -> Mapping[str, Any]:
        with self._lock:
            held = self._credentials
        return {**settings(), "credentials": held} if held else settings()

    def give_way(self) -> None:
        """Ends the JVM as soon as nobody uses it: another object took this one's place.

        A request that comes all the same, from a node that was made before, is served.
        """
        with self._lock:
            self._is_replaced = True
        self._end_if_replaced()

    def _end_if_replaced(self) -> None:
        with self._lock:
            is_over = self._is_replaced and self._running_requests == 0
            archive = self._archive
        if not is_over:
            return
        if archive is not None:
            archive.stop()
        jvm = self._live_jvm()
        if jvm is not None:
            jvm.end_input()

    def _request(
        self, method: str, params: Mapping[str, Any], settings: Settings, on_update: OnUpdate
    ) -> Any:
        reason = ""
        for _ in range(1 + MAX_RESTARTS):
            jvm = self._jvm(on_update)
            try:
                jvm.initialize(lambda: self._with_credentials(settings), on_update)
                return jvm.call(method, params, on_update)
            except _ProcessDiedError as died:
                reason = str(died)
                if not jvm.has_answered:
                    raise SidecarError(
                        f"The sidecar process {reason}; see ComfyUI's log, and check the Java"
                        f" at {jvm.executable}."
                    ) from None
                notices.tell(f"The sidecar process {reason}; starting a new one.")
        raise SidecarError(
            f"The sidecar process {reason}, {1 + MAX_RESTARTS} times in one request; see ComfyUI's"
            " log for what ended it."
        )

    def close(self) -> None:
        """Ends the process, which keeps what it has downloaded, within three seconds.

        A later request fails.
        """
        with self._lock:
            self._closed = True
            archive = self._archive
        if archive is not None:
            archive.stop()
        jvm = self._live_jvm()
        if jvm is not None:
            jvm.close()
        atexit.unregister(self.close)

    def _live_jvm(self) -> _Jvm | None:
        started = self._started
        if started is None or not started.done() or started.exception() is not None:
            return None
        jvm = started.result()
        return jvm if jvm.is_alive else None

    def _jvm(self, on_update: OnUpdate) -> _Jvm:
        """The running JVM; the first caller has one started, and all wait for it alike."""
        # A forked child inherits this object, but none of its threads: nobody would answer there.
        if os.getpid() != self._owner_pid:
            raise SidecarError("The sidecar process can only be used by the process that made it.")
        with self._lock:
            if self._closed:
                raise SidecarError("The sidecar process was closed; start ComfyUI again.")
            started = self._started
            if started is None or (started.done() and self._live_jvm() is None):
                started = self._started = Future()
                # In its own thread: the search for Java may take a while, and Stop has to be heard.
                threading.Thread(
                    target=self._start, args=(started,), name="anymatix-start", daemon=True
                ).start()
        while not wait([started], POLL_SECONDS).done:
            on_update(None)
        return started.result()

    def _start(self, started: Future[_Jvm]) -> None:
        try:
            environ = dict(os.environ if self._environ is None else self._environ)
            if not self._jar.is_file():
                raise SidecarError(
                    f"{self._jar} is missing: install the AnymatixFetcher pack again, or build it."
                )
            java = find_java(self._folder, environ)
            archive = ClassArchive(java, self._jar, environ)
            jvm = _Jvm(java, archive.command(), environ, self._silence_seconds)
            atexit.unregister(self.close)
            atexit.register(self.close)
            with self._lock:
                closed = self._closed
                former, self._archive = self._archive, archive
                if not closed:
                    started.set_result(jvm)
            if former is not None:
                former.stop()
            if not closed:
                archive.make_when_quiet(lambda: self._running_requests == 0)
            else:
                jvm.close()
                raise SidecarError("The sidecar process was closed; start ComfyUI again.")
        except (SidecarError, JavaNotFoundError) as failure:
            started.set_exception(SidecarError(str(failure)))
        except BaseException as failure:
            log.exception("The sidecar process could not be started.")
            started.set_exception(SidecarError(f"Starting the sidecar process failed: {failure}."))


def shared_process(folder: Path) -> SidecarProcess:
    """The process for a pack's folder.

    Where the pack is loaded a second time into one Python process, as a reload does, the process
    of the first load gives way, so that there is one JVM.
    """
    registry = vars(sys.modules.setdefault(_REGISTRY, ModuleType(_REGISTRY)))
    earlier = registry.get(str(folder))
    process = registry[str(folder)] = SidecarProcess(folder)
    if earlier is not None:
        process.hold_credentials(earlier.given_credentials())
        earlier.give_way()
    return process


class _Jvm:
    """One running JVM, from its start to its end."""

    def __init__(
        self,
        java: JavaRuntime,
        command: list[str],
        environ: Mapping[str, str],
        silence_seconds: float,
    ) -> None:
        self.executable = java.executable
        self.has_answered = False
        self._settings: Mapping[str, Any] | None = None
        self._initializing = threading.Lock()
        self._silence_seconds = silence_seconds
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._calls: dict[int, queue.SimpleQueue[Any]] = {}
        self._lock = threading.Lock()
        self._ids = itertools.count(1)
        self._death: str | None = None
        self._kill_reason: str | None = None
        self._heard_at = time.monotonic()
        self._pinged_at = 0.0
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=environment(environ),
                # Ctrl-C in ComfyUI's terminal is for ComfyUI; the JVM follows when stdin ends.
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as failure:
            raise SidecarError(
                f"The Java at {java.executable} cannot be started"
                f" ({failure.strerror or failure}): install another, or set ANYMATIX_JAVA."
            ) from None
        self._logs = _LogReader(cast("IO[bytes]", self._process.stderr))
        self._reader = self._thread("reader", self._read)
        self._writer = self._thread("writer", self._write)
        log.info(
            "Sidecar process %d started with Java %d from %s.",
            self.pid, java.version, java.origin,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._death is None and self._process.poll() is None

    def call(self, method: str, params: Mapping[str, Any], on_update: OnUpdate) -> Any:
        """Sends a request and waits for its answer; see :meth:`SidecarProcess.request`."""
        inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        request_id = next(self._ids)
        with self._lock:
            if self._death is not None:
                raise _ProcessDiedError(self._death)
            self._calls[request_id] = inbox
        try:
            if method == "fetch":
                params = {**params, "progressToken": request_id}
            self._send({"id": request_id, "method": method, "params": params})
            try:
                answer = self._await_answer(inbox, on_update)
            except BaseException:
                self._cancel(request_id, inbox)
                raise
        finally:
            with self._lock:
                del self._calls[request_id]
        if isinstance(answer, _ProcessDiedError):
            raise answer
        error = answer.get("error")
        if error is not None:
            raise RpcError(error)
        return answer.get("result")

    def initialize(self, settings: Settings, on_update: OnUpdate) -> None:
        """Names the settings to the JVM unless it knows them; one caller at a time.

        Together with asking for them late this keeps an older answer from replacing a newer one.
        """
        while not self._initializing.acquire(timeout=POLL_SECONDS):
            on_update(None)
        try:
            wanted = settings()
            if wanted != self._settings:
                self.call("initialize", wanted, on_update)
                self._settings = wanted
        finally:
            self._initializing.release()

    def end_input(self) -> None:
        """Lets the JVM end by itself, which it does within two seconds; does not wait."""
        self._outbox.put(None)

    def close(self) -> None:
        self.end_input()
        self._reader.join(_EXIT_SECONDS)
        if self._reader.is_alive():
            self._kill("did not end when asked to")
            self._reader.join(_EXIT_SECONDS)

    def _await_answer(self, inbox: queue.SimpleQueue[Any], on_update: OnUpdate) -> Any:
        """The response object, or the :class:`_ProcessDiedError` that stands for it."""
        since = time.monotonic()
        while True:
            try:
                message = inbox.get(timeout=POLL_SECONDS)
            except queue.Empty:
                self._watch_silence(since)
                on_update(None)
                continue
            if isinstance(message, dict) and message.get("method") == "$/progress":
                on_update(message["params"]["value"])
            else:
                return message

    def _cancel(self, request_id: int, inbox: queue.SimpleQueue[Any]) -> None:
        self._send({"method": "$/cancelRequest", "params": {"id": request_id}})
        deadline = time.monotonic() + CANCEL_SECONDS
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                message = inbox.get(timeout=left)
                if isinstance(message, _ProcessDiedError) or "method" not in message:
                    return

    def _watch_silence(self, since: float) -> None:
        """Pings a process that says nothing for half the allowed time; ends it after the whole.

        Time counts from a ping that was really sent, so that a computer that slept in between does
        not look like a hung process.
        """
        half = self._silence_seconds / 2
        now = time.monotonic()
        with self._lock:
            heard_at = max(since, self._heard_at)
            if now - heard_at < half:
                return
            is_pinged = self._pinged_at > heard_at
            if not is_pinged:
                self._pinged_at = now
                self._send({"id": f"ping-{next(self._ids)}", "method": "ping"})
            hung = is_pinged and now - self._pinged_at >= half
        if hung:
            self._kill(f"did not answer for {self._silence_seconds:g} seconds")

    def _send(self, message: Mapping[str, Any]) -> None:
        # ASCII, so that no platform's idea of UTF-8 or of a line end matters; one message a line.
        self._outbox.put(json.dumps({"jsonrpc": "2.0", **message}).encode("ascii") + b"\n")

    def _kill(self, reason: str) -> None:
        self._kill_reason = reason
        self._process.kill()

    def _thread(self, name: str, run: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=run, name=f"anymatix-{name}", daemon=True)
        thread.start()
        return thread

    def _write(self) -> None:
        stdin = cast("IO[bytes]", self._process.stdin)
        with contextlib.suppress(OSError):  # a broken pipe is told by the reader, as a death
            while (message := self._outbox.get()) is not None:
                stdin.write(message)
                stdin.flush()
        with contextlib.suppress(OSError):
            stdin.close()

    def _read(self) -> None:
        stdout = cast("IO[bytes]", self._process.stdout)
        try:
            with stdout, contextlib.suppress(OSError):
                for line in stdout:
                    try:
                        message = json.loads(line)
                    except ValueError:
                        text = redact(line.decode("utf-8", "replace"))
                        log.warning("Not a message: %s", text[:200])
                    else:
                        self._dispatch(message)
        finally:
            self._bury()

    def _dispatch(self, message: Any) -> None:
        if not isinstance(message, dict):
            return
        self._heard_at = time.monotonic()
        self.has_answered = True
        key = message.get("id")
        if message.get("method") == "$/progress":
            key = message["params"]["token"]
        with self._lock:
            inbox = self._calls.get(key) if isinstance(key, int) else None
            if inbox is not None:
                inbox.put(message)

    def _bury(self) -> None:
        """Tells every waiting call how the process ended, and lets go of it."""
        try:
            status = self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:  # closed its stdout and lives on: of no use to anybody
            self._kill("closed its output")
            status = self._process.wait()
        last_words = self._logs.last_words()
        reason = self._kill_reason
        if reason is None:
            ended = f"was ended by signal {-status}" if status < 0 else f"ended with code {status}"
            reason = f"{ended} ({last_words})" if last_words else ended
        with self._lock:
            self._death = reason
            for inbox in self._calls.values():
                inbox.put(_ProcessDiedError(reason))
        self._outbox.put(None)


class _LogReader:
    """Hands the process's stderr to :data:`log`, line by line.

    Reading never waits for long: a logger costs far more than a line, so what comes faster than
    200 lines a second is counted, not logged, and a flood cannot fill the pipe and stop the JVM.
    """

    _LEVEL = re.compile(r"\b(TRACE|DEBUG|INFO|WARN|WARNING|ERROR|SEVERE)\b")
    _LEVELS: Mapping[str, int] = {
        "TRACE": logging.DEBUG,
        "DEBUG": logging.DEBUG,
        "INFO": logging.INFO,
        "WARN": logging.WARNING,
        "WARNING": logging.WARNING,
        "ERROR": logging.ERROR,
        "SEVERE": logging.ERROR,
    }
    _LEVEL_WITHIN_CHARACTERS = 60

    def __init__(self, stderr: IO[bytes]) -> None:
        self._stderr = stderr
        self._last_line = b""
        self._level = logging.INFO
        self._thread = threading.Thread(target=self._read, name="anymatix-log", daemon=True)
        self._thread.start()

    def last_words(self) -> str:
        """The last line that is not part of a stack trace; call it when the process has ended."""
        self._thread.join(1.0)
        return redact(self._last_line.decode("utf-8", "replace").strip()[:300].rstrip("."))

    def _read(self) -> None:
        window_ends = 0.0
        lines_in_window = 0
        left_out = 0
        with self._stderr, contextlib.suppress(OSError):
            while line := self._stderr.readline(_LOG_LINE_BYTES):
                if not line[:1].isspace():
                    self._last_line = line
                now = time.monotonic()
                if now >= window_ends:
                    self._report(left_out)
                    window_ends, lines_in_window, left_out = now + 1.0, 0, 0
                lines_in_window += 1
                if lines_in_window <= _LOG_LINES_PER_SECOND:
                    self._log(line)
                else:
                    left_out += 1
        self._report(left_out)

    @staticmethod
    def _report(left_out: int) -> None:
        if left_out:
            log.warning("The sidecar process wrote too fast: %d lines were left out.", left_out)
            notices.keep(
                "The sidecar process writes far too much to ComfyUI's log; lines are left out."
            )

    def _log(self, line: bytes) -> None:
        text = redact(line.decode("utf-8", "replace").rstrip())
        if not text:
            return
        # An indented line belongs to a stack trace, and to the level of the line that opened it.
        if not text[0].isspace():
            match = self._LEVEL.search(text[: self._LEVEL_WITHIN_CHARACTERS])
            self._level = self._LEVELS[match.group(1)] if match else logging.INFO
        with contextlib.suppress(Exception):  # somebody's broken handler must not stop the reading
            log.log(self._level, "%s", text)
