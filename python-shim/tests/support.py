"""What the tests share: the pack loaded as ComfyUI loads it, the real jar, and stand-in Javas."""

from __future__ import annotations

import importlib.util
import itertools
import logging
import os
import random
import select
import sys
import tempfile
import textwrap
import threading
import time
import unittest
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

SHIM = Path(__file__).resolve().parent.parent
ROOT = SHIM.parent
JAR = Path(os.environ.get("ANYMATIX_TEST_JAR") or ROOT / "target" / "anymatix-fetcher.jar")

WAIT_SECONDS = 30.0
"""How long a test waits for something that has to happen."""

_load_count = itertools.count()


def load_pack() -> Any:
    """A fresh copy of the pack, loaded by its path as ComfyUI does it: no importable name."""
    name = f"{SHIM}/{next(_load_count)}".replace(".", "_x_")
    spec = importlib.util.spec_from_file_location(name, SHIM / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    pack = importlib.util.module_from_spec(spec)
    sys.modules[name] = pack
    spec.loader.exec_module(pack)
    return pack


def part_of_pack(pack: ModuleType, name: str) -> Any:
    """A module of a loaded pack."""
    return sys.modules[f"{pack.__name__}.{name}"]


def environment(state: Path) -> dict[str, str]:
    """This environment without what could reach beyond the test, and with loopback allowed."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith("_PROXY")
        and not name.startswith(("HF_", "CIVITAI_", "ANYMATIX_"))
    }
    if "ANYMATIX_JAVA" in os.environ:
        kept["ANYMATIX_JAVA"] = os.environ["ANYMATIX_JAVA"]
    return {
        **kept,
        "ANYMATIX_ALLOW_HTTP": "1",
        "ANYMATIX_ALLOW_PRIVATE_HOSTS": "1",
        "ANYMATIX_ACCEPT_ANY_CONTENT": "1",
        "ANYMATIX_HOME": str(state),
    }


def require_jar() -> None:
    """Fails where the jar has not been built: these tests are not to be left out unnoticed."""
    if not JAR.is_file():
        raise AssertionError(f"{JAR} is missing; build it with `mvn package` first")


def random_bytes(seed: int, length: int) -> bytes:
    return random.Random(seed).randbytes(length)


def fake_java(home: Path, body: str, version: str = "17.0.1") -> Path:
    """A Java home whose ``java`` runs Python statements, with a release file; its executable."""
    executable = home / "bin" / "java"
    executable.parent.mkdir(parents=True)
    imports = "import json, os, signal, subprocess, sys, threading, time"
    executable.write_text(f"#!{sys.executable}\n{imports}\n{textwrap.dedent(body)}\n")
    executable.chmod(0o755)
    if version:
        (home / "release").write_text(f'IMPLEMENTOR="Nobody"\nJAVA_VERSION="{version}"\n')
    return executable


ANSWER_EVERYTHING = """
for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": message}), flush=True)
"""
"""A fake Java that answers each request with the request itself."""


class LogRecords(logging.Handler):
    """Keeps what the pack logs, and lets a test wait for a line."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._changed = threading.Condition()

    def emit(self, record: logging.LogRecord) -> None:
        with self._changed:
            self.records.append(record)
            self._changed.notify_all()

    def texts(self) -> list[str]:
        with self._changed:
            return [record.getMessage() for record in self.records]

    def wait_for(self, part: str) -> logging.LogRecord:
        """The first record that holds the text, as soon as there is one."""

        def matching() -> logging.LogRecord | None:
            return next((r for r in self.records if part in r.getMessage()), None)

        with self._changed:
            self._changed.wait_for(lambda: matching() is not None, WAIT_SECONDS)
            found = matching()
        assert found is not None, f"no log line with {part!r}"
        return found


class ShimTestCase(unittest.TestCase):
    """A fresh pack, a temporary folder and the pack's log for each test."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="anymatix-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        self.load_pack()
        self.logs = LogRecords()
        logger = logging.getLogger("AnymatixFetcher")
        level, propagate = logger.level, logger.propagate
        logger.addHandler(self.logs)
        logger.setLevel(logging.DEBUG)
        logger.propagate = False
        self.addCleanup(logger.setLevel, level)
        self.addCleanup(setattr, logger, "propagate", propagate)
        self.addCleanup(logger.removeHandler, self.logs)

    def load_pack(self) -> None:
        """Loads the pack afresh, in the ComfyUI that is there at this moment."""
        self.pack = load_pack()
        self.nodes = part_of_pack(self.pack, "nodes")
        self.fetching = part_of_pack(self.pack, "fetching")
        self.comfyui = part_of_pack(self.pack, "comfyui")
        self.sidecar = part_of_pack(self.pack, "sidecar")
        # No test is slow enough for a class archive to be made in its midst.
        part_of_pack(self.pack, "launch")._QUIET_SECONDS = 3600.0

    def sidecar_process(self, **options: Any) -> Any:
        """A sidecar process of the pack, closed at the end of the test."""
        process = self.sidecar.SidecarProcess(self.folder / "pack", **options)
        self.addCleanup(process.close)
        return process


class InThread:
    """A call in a thread of its own; ``result`` waits for it, and raises what it raised."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def result(self, timeout_seconds: float = WAIT_SECONDS) -> Any:
        self._thread.join(timeout_seconds)
        if self._thread.is_alive():
            raise AssertionError(f"still running after {timeout_seconds:g} s")
        if self._error is not None:
            raise self._error
        return self._value

    def _run(self) -> None:
        try:
            self._value = self._function()
        except BaseException as error:
            self._error = error


def await_exit(pid: int, timeout_seconds: float) -> bool:
    """Whether a process, also one that is not our child, ends in time."""
    if hasattr(os, "pidfd_open"):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            return bool(select.select([descriptor], [], [], timeout_seconds)[0])
        finally:
            os.close(descriptor)
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        threading.Event().wait(0.02)  # no system tells us: look again
    return False
