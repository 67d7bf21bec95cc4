"""How Java is started for the sidecar process: its flags, and an archive of the classes it loads.

Java starts in half the time when the classes that a program loads lie ready in one file ("class
data sharing"; from Java 25 on an "AOT cache"). Such an archive fits one build of Java and one jar,
so the pack can not bring it: it is made here, in the background, once for each pair of them.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, cast

from .java_runtime import JavaRuntime

JVM_FLAGS = (
    # Large enough to start without a collection for every class or two, small again after each
    # later one; bytes go straight to disk.
    "-XX:InitialHeapSize=16m",
    "-XX:MinHeapSize=4m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:MinHeapFreeRatio=10",
    "-XX:MaxHeapFreeRatio=30",
    "-XX:-ShrinkHeapInSteps",
    # What the C library holds for blocks that are free; not known to early builds of 17.
    "-XX:+IgnoreUnrecognizedVMOptions",
    *(("-XX:TrimNativeHeapInterval=30000",) if sys.platform == "linux" else ()),
    # What runs for every byte is compiled soon in any case; the rest of a first download is not
    # worth the compiler's time and memory.
    "-XX:CompileThresholdScaling=4",
    # A method that is too long for this would take the compiler 20 MiB.
    "-XX:MaxNodeLimit=20000",
    # No file in /tmp for tools that watch JVMs.
    "-XX:-UsePerfData",
    # Standard output belongs to the protocol, also when the JVM itself has something to say.
    "-XX:+DisplayVMOutputToStderr",
    "-Xlog:disable",
    "-Xlog:all=warning:stderr",
)
"""The flags for every Java from 17 on.

Never ``-XX:TieredStopAtLevel=1``: SHA-256 and AES-GCM run ten times slower without the C2 compiler.
"""

_OPENJ9_FLAGS = ("-Xmx256m",)
"""Another virtual machine, which has flags and an archive (that it makes itself) of its own."""

_QUIET_SECONDS = 10.0
"""How long nobody may have asked for anything before an archive is made."""

_MAKING_SECONDS = 120.0
"""How long each of the two steps may take, on a machine that is busy with other things."""

_AOT_CACHE_VERSION = 25
"""From this Java on an archive also has what was found out of the methods that ran (JEP 515)."""

_UNUSED_DAYS = 60
_OWN_CLASSES = "io/anymatix/fetcher/"

_KEPT_VARIABLES = (
    "PATH",
    "LD_LIBRARY_PATH",
    "SystemRoot",
    "TEMP",
    "TMP",
    "TMPDIR",
    "LANG",
    "LC_ALL",
)
"""What Java may need to run; proxies and tokens are not among it."""

_REHEARSAL_VARIABLES = {"ANYMATIX_ALLOW_HTTP": "1", "ANYMATIX_ALLOW_PRIVATE_HOSTS": "1"}

log = logging.getLogger("AnymatixFetcher")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for Java: file names in UTF-8, and few pools of native memory."""
    given = with_utf8_file_names(environ)
    # By default glibc keeps eight pools for each core, each of which keeps what it once needed.
    given.setdefault("MALLOC_ARENA_MAX", "2")
    return given


def with_utf8_file_names(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment in which Java can form every file name.

    Java takes the encoding of file names from the locale, and in the C locale of a container it
    can form no name beyond ASCII; no flag of its own changes that.
    """
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or "C"
    if sys.platform != "linux" or "utf" in locale.lower():
        return dict(environ)
    return {**environ, "LC_ALL": "C.UTF-8"}


def home_folder(environ: Mapping[str, str]) -> Path:
    """Where the sidecar process keeps its state: the same folder as it finds itself."""
    home = environ.get("ANYMATIX_HOME", "").strip()
    if home:
        return Path(home).absolute()
    user = Path(os.path.expanduser("~"))
    if sys.platform == "win32":
        local = environ.get("LOCALAPPDATA", "").strip()
        parent = Path(local) if local else user / "AppData" / "Local"
    elif sys.platform == "darwin":
        parent = user / "Library" / "Application Support"
    else:
        state = environ.get("XDG_STATE_HOME", "").strip()
        parent = Path(state) if state else user / ".local" / "state"
    return parent / "anymatix-fetcher"


def _is_openj9(java: JavaRuntime) -> bool:
    release = Path(os.path.realpath(java.executable)).parent.parent / "release"
    with contextlib.suppress(OSError):
        return 'JVM_VARIANT="Openj9"' in release.read_text("utf-8", "replace")
    return False


class ArchiveError(RuntimeError):
    """No archive could be made; the message says why, to be read within a sentence."""


class ClassArchive:
    """The archive for one Java and one jar; constructing one reads and writes nothing.

    It is used if it is there. Whether it fits is Java's own decision: it checks the archive against
    itself and the jar, and starts without one that is stale or broken. It lies in a folder that
    nobody but the user can write to, since it holds code.
    """

    def __init__(self, java: JavaRuntime, jar: Path, environ: Mapping[str, str]) -> None:
        self._java = java
        self._jar = jar
        self._environ = environ
        self._folder = home_folder(environ) / "classes"
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._running: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """The words that start the sidecar process."""
        flags = _OPENJ9_FLAGS if _is_openj9(self._java) else (*JVM_FLAGS, *self._archive_flags())
        return [str(self._java.executable), *flags, "-jar", str(self._jar), "serve"]

    def _archive_flags(self) -> list[str]:
        with contextlib.suppress(OSError):
            path = self.path()
            os.utime(path)  # kept while it is used
            return [f"-XX:{'AOTCache' if self._is_aot_cache else 'SharedArchiveFile'}={path}"]
        return []

    @property
    def _is_aot_cache(self) -> bool:
        return self._java.version >= _AOT_CACHE_VERSION

    def path(self) -> Path:
        """Where the archive is, or would be; :class:`OSError` if Java or the jar is gone."""
        import hashlib  # noqa: PLC0415 - not when the pack is loaded: it brings OpenSSL along

        java = Path(os.path.realpath(self._java.executable))
        parts = [str(java), str(self._jar.absolute()), *JVM_FLAGS]
        # A new Java is often installed in the place of the old one.
        for file in (self._jar, java.parent.parent / "lib" / "modules"):
            status = file.stat()
            parts += [str(status.st_size), str(status.st_mtime_ns)]
        identity = hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape"))
        return self._folder / (identity.hexdigest()[:16] + ".jsa")

    def make_when_quiet(self, is_quiet: Callable[[], bool]) -> None:
        """Makes the archive unless there is one: in a thread of its own, while nothing is going on.

        ``is_quiet`` is asked every ten seconds; what users wait for comes first.
        """
        with contextlib.suppress(OSError):
            if not self.path().exists() and not _is_openj9(self._java):
                threading.Thread(
                    target=self._make_when_quiet,
                    args=(is_quiet,),
                    name="anymatix-classes",
                    daemon=True,
                ).start()

    def _make_when_quiet(self, is_quiet: Callable[[], bool]) -> None:
        while not self._stopped.wait(_QUIET_SECONDS):
            if is_quiet():
                try:
                    self.make()
                except (OSError, ArchiveError) as failure:
                    log.info("Java will not start faster the next time: %s.", failure)
                return

    def stop(self) -> None:
        """Ends the making of an archive, if one is being made; none is made afterwards."""
        with self._lock:
            self._stopped.set()
            if self._running is not None:
                self._running.kill()

    def make(self) -> None:
        """Makes the archive; takes some seconds, at a low priority.

        A sidecar process without anything to fetch shows which classes are needed. Raises
        :class:`ArchiveError` if that or the writing fails, :class:`OSError` for the file system.
        """
        target = self.path()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._remove_unused()
        with tempfile.TemporaryDirectory(prefix="making-", dir=self._folder) as name:
            work = Path(name)
            seen = work / "seen"
            archive = work / "archive"
            if self._is_aot_cache:
                self._rehearse(work, "-XX:AOTMode=record", f"-XX:AOTConfiguration={seen}")
                flags = ["-XX:AOTMode=create", f"-XX:AOTConfiguration={seen}",
                         f"-XX:AOTCache={archive}"]  # fmt: skip
            else:
                self._rehearse(work, f"-XX:DumpLoadedClassList={seen}")
                self._add_own_classes(seen)
                flags = ["-Xshare:dump", f"-XX:SharedClassListFile={seen}",
                         f"-XX:SharedArchiveFile={archive}"]  # fmt: skip
            # G1, whatever runs later: no other collector writes the objects of the archive.
            flags += ["-XX:+UseG1GC", "-cp", str(self._jar)]
            with self._java_process(work, *flags) as writer:
                writer.communicate()
            if not archive.is_file():
                raise ArchiveError(f"{self._java.executable} wrote no archive of classes")
            os.replace(archive, target)
        log.info("Java will start faster from now on: %s.", target)

    def _rehearse(self, work: Path, *flags: str) -> None:
        """Runs a sidecar process until it has tried to connect to somewhere."""
        models = work / "models"
        url = "http://127.0.0.1:9/model.safetensors"  # nobody listens there
        requests = [
            ("initialize", {"modelsDir": str(models), "options": {"queueEvents": False}}),
            ("ping", {}),
            ("isChanged", {"url": url, "type": "checkpoint"}),
            ("list", {}),
            ("queue", {}),
            ("history", {}),
            ("fetch", {"url": url, "type": "checkpoint", "progressToken": 0}),
        ]
        words = [*JVM_FLAGS, *flags, "-jar", str(self._jar), "serve"]
        with self._java_process(work, *words) as process:
            stdin, stdout = cast("IO[bytes]", process.stdin), cast("IO[bytes]", process.stdout)
            for number, (method, params) in enumerate(requests):
                message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
                stdin.write(json.dumps(message).encode("ascii") + b"\n")
            stdin.flush()
            for line in stdout:
                if b'"waiting"' in line and b"progress" in line:
                    break
            process.communicate()

    def _add_own_classes(self, classes: Path) -> None:
        """What only a running download loads; of the libraries much more is there than is used."""
        with zipfile.ZipFile(self._jar) as jar, classes.open("a", encoding="ascii") as names:
            for name in jar.namelist():
                if name.startswith(_OWN_CLASSES) and name.endswith(".class"):
                    names.write(name[: -len(".class")] + "\n")

    @contextlib.contextmanager
    def _java_process(self, work: Path, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """A Java that gives way to everything else, and is gone at the end of the block."""
        low = getattr(subprocess, "BELOW_NORMAL_PRIORITY_CLASS", 0)
        nice = ["nice", "-n", "19"] if shutil.which("nice") else []
        kept = {name: self._environ[name] for name in _KEPT_VARIABLES if name in self._environ}
        with self._lock:
            if self._stopped.is_set():
                raise ArchiveError("the sidecar process was ended meanwhile")
            process = self._running = subprocess.Popen(
                [*nice, str(self._java.executable), *words],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd=work,
                env=environment({**kept, **_REHEARSAL_VARIABLES, "ANYMATIX_HOME": str(work)}),
                start_new_session=True,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0) | low,
            )
        limit = threading.Timer(_MAKING_SECONDS, process.kill)
        limit.start()
        try:
            with process:
                yield process
        finally:
            limit.cancel()
            process.kill()
            with self._lock:
                self._running = None
        if process.returncode != 0:
            raise ArchiveError(f"{self._java.executable} ended with {process.returncode}")

    def _remove_unused(self) -> None:
        """Archives of Javas and jars that are gone, and what a killed process left."""
        longest_ago = time.time() - _UNUSED_DAYS * 86400
        for file in self._folder.iterdir():
            if file.stat().st_mtime < longest_ago:
                if file.is_dir():
                    shutil.rmtree(file, ignore_errors=True)
                else:
                    file.unlink()
