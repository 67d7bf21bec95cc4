"""Stands in for another pack's ``fetch.py``: the same functions, done by the sidecar process.

A pack that has such a module switches by replacing that one file with this one. Wherever it lies,
it finds the AnymatixFetcher pack: among what ComfyUI has loaded, around itself, or beside the pack
that it was put into. Names, callbacks and return values are those of the store contract, sections
9 and 12.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import sys
import tempfile
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NoReturn, Optional

Callback = Callable[[int, Optional[int]], None]

_PACK_FILE = "fetching.py"
_JAR = "anymatix-fetcher.jar"
_CREDENTIALS = ("token", "api_key", "apikey", "access_token")

# Callers of old tell errors apart by words in the message (store contract, section 7.1).
_WORDS = {
    "timeout": "timeout",
    "stalled": "timeout",
    "network": "connection",
    "tls": "connection",
    "notFound": "not found",
    "gone": "not found",
    "auth": "forbidden",
    "forbidden": "forbidden",
    "gated": "forbidden",
    "earlyAccess": "forbidden",
    "rateLimited": "rate limit",
    "quota": "rate limit",
}


class DownloadError(RuntimeError):
    """A file could not be had; the message is one sentence on what failed and one on what to do."""


def download_file(  # noqa: PLR0913, PLR0917 - the callers' signature
    url: str,
    dir: str,
    callback: Callback | None = None,
    expand_info: Callable[[str], dict[str, Any] | None] | None = None,
    effective_url: str | None = None,
    redact_append: str | None = None,
    adopt_dirs: Iterable[str] | None = None,
    phase: Callable[[str], None] | None = None,
) -> str:
    """Brings a file into a folder, or finds it there, and returns its path below ``dir``.

    ``dir`` may be written to from now on: who calls this is the owner's code, not a workflow.
    ``effective_url`` is the url with the query tail ``redact_append``. ``callback`` gets the bytes
    done and the length, or None while that is unknown; ``phase`` gets ``fetching``, ``verifying``
    or ``adopting`` before the numbers that it labels. Neither is called for a file that is there.
    What they raise ends the download and comes back unchanged, as ComfyUI's interrupt does; what
    was received is kept.

    Raises :class:`DownloadError`, and ``OSError`` (``ENOSPC``) for a full volume.
    """
    fetching = _fetching()
    folder = os.path.abspath(dir)
    fetching.comfyui.allow_folder(folder)
    for adopt_dir in adopt_dirs or ():
        fetching.comfyui.allow_adoption_from(os.path.abspath(adopt_dir))
    params = {"dir": folder, **_url_and_tail(url, effective_url, redact_append)}
    numbers = _Numbers(fetching, callback, phase)
    try:
        result = fetching.request("fetch", params, numbers.update)
    except fetching.RpcError as error:
        _raise(fetching, error)
    if result["outcome"] != "present":
        numbers.complete(result["fileSize"])
        if expand_info is not None:
            _keep_info(result["sidecarPath"], url, expand_info)
    return os.path.join(dir, result["fileName"])


def hash_string(s: str) -> str:
    """The hash that names a url's sidecar file."""
    return hashlib.sha256(s.encode("utf-8")).hexdigest()


def redact_url(u: str, appended: str | None = None) -> str:
    """The url without the appended pairs, and with the values of credentials masked."""
    parts = urllib.parse.urlsplit(u)
    pairs = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    dropped = urllib.parse.parse_qsl(appended or "", keep_blank_values=True)
    shown = [
        (name, "<redacted>" if name.lower() in _CREDENTIALS else value)
        for name, value in pairs
        if (name, value) not in dropped
    ]
    if shown == pairs:
        return u
    return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(shown)))


def delete_files(url: str, dir: str) -> None:
    """Removes what a url left in a folder and below it, but for files that other urls need."""
    fetching = _fetching()
    fetching.comfyui.allow_folder(os.path.abspath(dir))
    for folder, _, files in os.walk(os.path.abspath(dir)):
        if files:
            try:
                fetching.request("delete", {"url": url, "dir": folder}, _never_stop)
            except fetching.RpcError as error:
                _raise(fetching, error)


class _Numbers:
    """Turns ``$/progress`` values into the calls that callers of old expect."""

    def __init__(
        self, fetching: Any, callback: Callback | None, phase: Callable[[str], None] | None
    ) -> None:
        self._fetching = fetching
        self._callback = callback
        self._tell_phase = phase
        self._phase: str | None = None
        self._told: tuple[int, int | None] | None = None

    def update(self, progress: Mapping[str, Any] | None) -> None:
        self._fetching.comfyui.raise_if_interrupted()
        phase = self._fetching.begun_phase(progress) if progress is not None else None
        if progress is None or phase is None:
            return
        if phase != self._phase:
            self._phase = phase
            if self._tell_phase is not None:
                self._tell_phase(phase)
        self._tell((progress["receivedBytes"], progress.get("totalBytes")))

    def complete(self, length_bytes: int) -> None:
        if self._phase is not None:
            self._tell((length_bytes, length_bytes))

    def _tell(self, numbers: tuple[int, int | None]) -> None:
        if self._callback is not None and numbers != self._told:
            self._told = numbers
            self._callback(*numbers)


def _never_stop(progress: Mapping[str, Any] | None) -> None:
    pass


def _url_and_tail(url: str, effective_url: str | None, tail: str | None) -> dict[str, str]:
    """The params that make the process arrive at the caller's effective url."""
    if not effective_url or effective_url == url:
        return {"url": url}
    candidates = [tail or ""]
    candidates += [effective_url[len(url) + 1 :]] if effective_url.startswith(url) else []
    for candidate in candidates:
        if candidate and _joined(url, candidate) == effective_url:
            return {"url": url, "auth": candidate}
    # A tail that the caller joined in a way of its own: what counts is what names the file.
    return {"url": effective_url}


def _joined(url: str, tail: str) -> str:
    """A url and a query tail, joined as every store has been named (store contract, 1.1)."""
    parts = urllib.parse.urlparse(url)
    pairs = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    pairs += urllib.parse.parse_qsl(tail, keep_blank_values=True)
    return urllib.parse.urlunparse(parts._replace(query=urllib.parse.urlencode(pairs)))


def _raise(fetching: Any, error: Any) -> NoReturn:
    kind = error.data.get("kind")
    if kind == "diskFull":
        text = os.strerror(errno.ENOSPC)
        raise OSError(errno.ENOSPC, text, str(fetching.full_volume(error))) from None
    words = _WORDS.get(kind)
    raise DownloadError(fetching.sentence(error) + (f" ({words})" if words else "")) from None


def _keep_info(
    sidecar_path: str, url: str, expand_info: Callable[[str], dict[str, Any] | None]
) -> None:
    """Puts the caller's own metadata where callers look for it, unless the source's is there."""
    with open(sidecar_path, encoding="ascii") as file:
        sidecar = json.load(file)
    info = None if sidecar.get("data") else expand_info(url)
    if not info:
        return
    ordered: dict[str, Any] = {}
    for key, value in sidecar.items():
        if key != "data":
            ordered[key] = value
        if key == "name":
            ordered["data"] = info
    ordered.setdefault("data", info)
    descriptor, temporary = tempfile.mkstemp(suffix=".tmp", dir=os.path.dirname(sidecar_path))
    try:
        with open(descriptor, "w", encoding="ascii", newline="\n") as file:
            json.dump(ordered, file, indent=4)
        os.chmod(temporary, os.stat(sidecar_path).st_mode)
        os.replace(temporary, sidecar_path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.remove(temporary)
        raise


def _fetching() -> Any:
    """The module ``fetching`` of the AnymatixFetcher pack, loaded if ComfyUI has not done it."""
    for name, module in reversed(list(sys.modules.items())):
        if name.endswith(".fetching") and hasattr(module, "sidecar_process"):
            return module
    for folder in _possible_packs():
        if (folder / _PACK_FILE).is_file():
            name = str(folder).replace(".", "_x_")  # as ComfyUI will name it, to share it then
            _load(name, folder / "__init__.py")
            return sys.modules[f"{name}.fetching"]
    raise DownloadError(
        "The AnymatixFetcher pack was not found: install it into ComfyUI's custom_nodes."
    )


def _possible_packs() -> Iterator[Path]:
    """Folders that may be the pack: around this file, and what lies beside other packs."""
    here = Path(os.path.abspath(__file__)).parent
    yield here.parent
    folder_paths: Any = sys.modules.get("folder_paths")
    table = folder_paths.folder_names_and_paths if folder_paths is not None else {}
    for packs in [*map(Path, table.get("custom_nodes", ([],))[0]), *here.parents[:2]]:
        with contextlib.suppress(OSError):
            for jar in packs.glob(f"*/{_JAR}"):
                yield jar.parent


def _load(name: str, init: Path) -> None:
    spec = importlib.util.spec_from_file_location(name, init)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
