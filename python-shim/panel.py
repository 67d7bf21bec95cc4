"""The downloads panel's routes: what a page of this ComfyUI may ask, and of whom it is heeded.

There are two, below ``/anymatix-fetcher/``: ``GET session`` gives a key that is new at each start,
``POST call`` takes a method and its params. Only a page that this very ComfyUI served, on the
machine that it runs on, is heard:

* the socket's peer is loopback and nobody forwarded the request, and ``Host`` is a loopback name,
  unless the owner has set ``ANYMATIX_PANEL_REMOTE=1``;
* ``Origin`` equals ``Host``. A browser sends none with a page's own GET; then ``Sec-Fetch-Site``
  has to say that it is one;
* a call is JSON by its ``Content-Type``, which a foreign form cannot send, and echoes the key.

What may be called is a short list; folders and query tails cannot be named. A token comes in and
never goes out again.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from . import comfyui, fetching, nodes, notices
from .sidecar import Progress, RpcError, SidecarError, redact

PREFIX = "/anymatix-fetcher"
KEY_HEADER = "X-Anymatix-Key"
NOTICES_EVENT = "anymatix.notices"
REMOTE_VARIABLE = "ANYMATIX_PANEL_REMOTE"

CALLABLE: Mapping[str, frozenset[str]] = {
    "queue": frozenset(),
    "history": frozenset({"limit"}),
    "enqueue": frozenset({"url", "type", "name", "sha256"}),
    "pause": frozenset({"id"}),
    "resume": frozenset({"id"}),
    "cancel": frozenset({"id"}),
    "move": frozenset({"id", "to"}),
    "retry": frozenset({"id"}),
}
"""Methods of the sidecar process that the panel may call, with the params it may name."""

TOKEN_SITES = ("civitai", "huggingface")

ANSWER_SECONDS = 30.0
"""How long an answer is waited for; the process may have to be started first."""

_MOST_BODY_BYTES = 1 << 20
_MOST_TOKEN_CHARACTERS = 1024
_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
_FORWARDING_HEADERS = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
_REGISTRY = "_anymatix_fetcher_panel"

log = logging.getLogger("AnymatixFetcher")


class _RefusedError(Exception):
    """The request is not answered; the message says why, ``status`` how."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Panel:
    """The two routes' work, apart from how ComfyUI's web server hands requests over."""

    def __init__(self) -> None:
        self._key = os.urandom(32).hex()

    async def session(self, request: Any) -> dict[str, Any]:
        """The key that calls have to echo."""
        _require_own_page(request)
        return {"key": self._key}

    async def call(self, request: Any) -> dict[str, Any]:
        """The result of a method, or its error as one sentence."""
        _require_own_page(request)
        self._require_key(request)
        method, params = await _read_call(request)
        try:
            return {"result": await _answer(method, params)}
        except RpcError as failure:
            kind = failure.data.get("kind")
            return {"error": {"message": fetching.sentence(failure), "kind": kind}}
        except (SidecarError, TimeoutError) as failure:
            return {"error": {"message": str(failure), "kind": None}}

    def _require_key(self, request: Any) -> None:
        media_type = request.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if media_type != "application/json":
            raise _RefusedError(415, "A call is JSON.")
        import hmac  # noqa: PLC0415 - loading the pack stays cheap without

        key = request.headers.get(KEY_HEADER, "")
        if not hmac.compare_digest(key.encode(), self._key.encode()):
            raise _RefusedError(401, "The key is missing or of an earlier start; ask for it again.")


def register() -> None:
    """Adds the routes to ComfyUI's web server, once; a reloaded pack takes over those there are."""
    server = comfyui.prompt_server()
    web: Any = comfyui.module("aiohttp.web")
    if server is None or web is None:
        return
    registry = vars(sys.modules.setdefault(_REGISTRY, ModuleType(_REGISTRY)))
    is_first = "panel" not in registry
    registry["panel"] = Panel()
    # Without the sentence: who may read it has to ask.
    notices.listen(lambda: comfyui.send_event(NOTICES_EVENT, {}, None))
    if not is_first:
        return

    def route(name: str) -> Callable[[Any], Any]:
        async def handle(request: Any) -> Any:
            status = 200
            try:
                body = await getattr(registry["panel"], name)(request)
            except _RefusedError as refusal:
                status, body = refusal.status, {"error": {"message": str(refusal)}}
            headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
            return web.json_response(body, status=status, headers=headers)

        return handle

    server.routes.get(f"{PREFIX}/session")(route("session"))
    server.routes.post(f"{PREFIX}/call")(route("call"))


def _require_own_page(request: Any) -> None:
    host = request.headers.get("Host", "")
    if os.environ.get(REMOTE_VARIABLE) != "1":
        peer = request.transport.get_extra_info("peername") if request.transport else None
        is_forwarded = any(name in request.headers for name in _FORWARDING_HEADERS)
        if is_forwarded or not _is_loopback_peer(peer) or _name_of(host) not in _LOOPBACK_NAMES:
            raise _RefusedError(
                403,
                "The downloads panel is open only on the machine that ComfyUI runs on; its owner"
                f" can open it to others with {REMOTE_VARIABLE}=1.",
            )
    origin = request.headers.get("Origin")
    if origin is None:
        is_own = request.method == "GET" and request.headers.get("Sec-Fetch-Site") == "same-origin"
    else:
        parts = urlsplit(origin)
        is_own = parts.scheme in ("http", "https") and parts.netloc.lower() == host.lower() != ""
    if not is_own:
        raise _RefusedError(403, "Only a page of this ComfyUI may ask that.")


def _is_loopback_peer(peer: Any) -> bool:
    address = str(peer[0]) if isinstance(peer, tuple) and peer else ""
    address = address[7:] if address.lower().startswith("::ffff:") else address
    return address == "::1" or address.startswith("127.")


def _name_of(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


async def _read_call(request: Any) -> tuple[str, dict[str, Any]]:
    length = request.content_length
    if length is None or length > _MOST_BODY_BYTES:
        raise _RefusedError(413, "The call is too long.")
    try:
        call = json.loads(await request.read())
        method, params = call["method"], call.get("params", {})
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _RefusedError(400, "That is no call.") from None
    if not isinstance(method, str) or not isinstance(params, dict):
        raise _RefusedError(400, "That is no call.")
    return method, params


async def _answer(method: str, params: dict[str, Any]) -> Any:
    if method == "types":
        return comfyui.model_types()
    if method == "missing":
        return missing_models(params.get("models"))
    if method == "credentials":
        return _hold_tokens(params)
    if method == "notices":
        nodes.tell_of_namesakes()
        return notices.told()
    allowed = CALLABLE.get(method)
    if allowed is None or not allowed.issuperset(params):
        raise _RefusedError(400, "The panel may not ask that.")
    named = {name: value for name, value in params.items() if value is not None}
    deadline = time.monotonic() + ANSWER_SECONDS

    def on_update(progress: Progress | None) -> None:
        if time.monotonic() > deadline:
            raise TimeoutError(
                f"The sidecar process did not answer for {ANSWER_SECONDS:g} seconds."
            )

    result = await fetching.request_async(method, named, on_update)
    return {**result, "nodes": fetching.running()} if method == "queue" else result


def _hold_tokens(params: Mapping[str, Any]) -> dict[str, bool]:
    """Keeps, replaces or (null, empty) forgets tokens; tells which are held, never their values."""
    tokens: dict[str, str | None] = {}
    for site, token in params.items():
        text = token.strip() if isinstance(token, str) else token
        is_token = text is None or (
            isinstance(text, str)
            and len(text) <= _MOST_TOKEN_CHARACTERS
            and text.isascii()
            and not any(character.isspace() or not character.isprintable() for character in text)
        )
        if site not in TOKEN_SITES or not is_token:
            raise _RefusedError(400, "That is no access token.")
        tokens[site] = text or None
    held = fetching.sidecar_process.hold_credentials(tokens)
    return {site: site in held for site in TOKEN_SITES}


def missing_models(models: Any) -> list[dict[str, Any]]:
    """Which of a workflow's models (ComfyUI's ``models`` metadata) no loader would find.

    Each with what a fetch needs, or with the ``problem`` that makes it impossible.
    """
    folder_paths: Any = comfyui.module("folder_paths")
    missing: list[dict[str, Any]] = []
    for model in models if isinstance(models, list) else []:
        if not isinstance(model, dict):
            continue
        name, url, directory = (model.get(key) for key in ("name", "url", "directory"))
        if not (isinstance(name, str) and isinstance(url, str) and isinstance(directory, str)):
            continue
        entry = {"name": name, "directory": directory, "url": url, "host": _host_of(url)}
        if directory not in comfyui.model_types():
            entry["problem"] = f"This ComfyUI has no folder {directory!r}."
        elif PurePosixPath(name).name != name or "\\" in name:
            entry["problem"] = "Its name is a path, which a download cannot have."
        elif folder_paths.get_full_path(directory, name) is not None:
            continue
        digest = model.get("hash")
        if isinstance(digest, str) and str(model.get("hash_type", "")).lower() == "sha256":
            entry["sha256"] = digest
        missing.append(entry)
    return missing


def _host_of(url: str) -> str:
    try:
        return redact(urlsplit(url).hostname or url)
    except ValueError:
        return "a link that cannot be read"
