"""Asks the sidecar process for a model on behalf of a node, blocking or awaiting."""

from __future__ import annotations

import functools
import itertools
import logging
import math
import os
import re
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Union

from . import comfyui, notices
from .sidecar import (
    POLL_SECONDS,
    OnUpdate,
    Progress,
    RpcError,
    SidecarError,
    redact,
    shared_process,
)
from .status import NodeStatus, begun_phase

IS_CHANGED_SECONDS = 10.0
"""How long a fingerprint is waited for; the process may have to be started first."""

PACK_TYPES = ("chatterbox_model_pack", "chatterbox_multilingual_pack")
"""Types that stand for several files; loaders know them by name (store contract, section 5)."""

ANNOTATOR_TYPES = ("dwpose_aux", "hed", "depth_anything_v2_checkpoint")
"""Types whose files another pack looks for by name, in a folder of its own."""

ANNOTATOR_VARIABLE = "AUX_ANNOTATOR_CKPTS_PATH"

_TOKEN_PAIR = re.compile(r"(?i)[?&](token|api_key|apikey|access_token)=[^&#]")

__all__ = [
    "Fetch",
    "FetchError",
    "RpcError",
    "begun_phase",
    "comfyui",
    "failure_message",
    "fingerprint",
    "full_volume",
    "request",
    "request_async",
    "running",
    "sentence",
    "sidecar_process",
]

log = logging.getLogger("AnymatixFetcher")

sidecar_process = shared_process(Path(__file__).parent)
"""The one sidecar process of this ComfyUI; not started before something needs it."""

FetchParams = dict[str, str]
NodeOutput = tuple[str, str]
Fingerprint = Union[str, float]


class FetchError(RuntimeError):
    """A model could not be fetched; the message is what ComfyUI shows."""


class _NotWantedError(Exception):
    """Nobody waits for the answer any more."""


class Fetch:
    """One fetch of one node, to be run either way."""

    def __init__(self, params: FetchParams) -> None:
        self._params = params

    def run(self) -> NodeOutput:
        """Path and loader name of the model; blocks until it is there.

        Raises :class:`FetchError`, :class:`SidecarError`, or ComfyUI's interrupt.
        """
        with _Telling(self._begin(), self._params) as telling:
            return telling.completed(request("fetch", self._params, telling.update))

    async def run_async(self) -> NodeOutput:
        """As :meth:`run`, but leaves the event loop to others while it waits."""
        with _Telling(self._begin(), self._params) as telling:
            return telling.completed(await request_async("fetch", self._params, telling.update))

    def _begin(self) -> NodeStatus:
        params = self._params
        if "auth" in params or _TOKEN_PAIR.search(params["url"]):
            _warn_of_token_in_workflow()
        if params["type"] in ANNOTATOR_TYPES:
            _tell_annotator_folder()
        return NodeStatus(has_phases=params["type"] not in PACK_TYPES)


_running: dict[str, dict[str, Any]] = {}
_numbers = itertools.count(1)
_SHOWN = ("fileName", "phase", "receivedBytes", "totalBytes", "rate", "eta", "reason")


def running() -> list[dict[str, Any]]:
    """The fetches of nodes at this moment, oldest first, in the form of the queue's items."""
    return list(_running.values())


class _Telling:
    """Shows a fetch on its node, and turns its failure into the sentence for the user."""

    def __init__(self, status: NodeStatus, params: FetchParams) -> None:
        self._status = status
        self._params = params
        self._id = f"node-{next(_numbers)}"

    def __enter__(self) -> _Telling:
        self._note({"phase": "waiting", "receivedBytes": 0, "rate": 0.0})
        return self

    def update(self, progress: Progress | None) -> None:
        # In the node's own thread or task: raising clears ComfyUI's flag, and nobody else may.
        comfyui.raise_if_interrupted()
        if progress is not None:
            if progress.get("status") == "progress":
                self._note(progress)
            self._status.show(progress)

    def _note(self, progress: Progress) -> None:
        shown = {name: progress.get(name) for name in _SHOWN}
        _running[self._id] = {"id": self._id, "url": redact(self._params["url"]), **shown}

    def completed(self, result: Mapping[str, Any]) -> NodeOutput:
        self._status.complete(result)
        name = result["relativeName"]
        is_found_by_name = self._params["type"] in (*PACK_TYPES, *ANNOTATOR_TYPES)
        return (name if is_found_by_name else result["path"]), name

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        del _running[self._id]
        if isinstance(error, RpcError):
            message = failure_message(self._params, error)
            self._status.fail(message, str(error.data.get("kind", "")))
            raise FetchError(message) from None
        if isinstance(error, SidecarError):
            self._status.fail(str(error), "")


def request(method: str, params: Mapping[str, Any], on_update: OnUpdate) -> Any:
    """The result of one request to the sidecar process; see ``SidecarProcess.request``."""
    return sidecar_process.request(method, params, settings=comfyui.settings, on_update=on_update)


async def request_async(method: str, params: Mapping[str, Any], on_update: OnUpdate) -> Any:
    """As :func:`request`, with the waiting done by a thread of its own.

    ``on_update`` is called in the awaiting task. When that task is cancelled, or ``on_update``
    raises, the request is cancelled too, without waiting for it.
    """
    import asyncio  # noqa: PLC0415 - ComfyUI has it; importing the pack stays cheap without

    updates: deque[Progress] = deque()
    answer: Future[Any] = Future()
    answer.set_running_or_notify_cancel()  # from here on, only the thread below ends it
    given_up = threading.Event()

    def pass_on(progress: Progress | None) -> None:
        if given_up.is_set():
            raise _NotWantedError
        if progress is not None:
            updates.append(progress)

    def wait_for_answer() -> None:
        try:
            answer.set_result(request(method, params, pass_on))
        except BaseException as failure:
            answer.set_exception(failure)

    threading.Thread(target=wait_for_answer, name="anymatix-fetch", daemon=True).start()
    answered = asyncio.wrap_future(answer)
    try:
        while not answered.done():
            await asyncio.wait({answered}, timeout=POLL_SECONDS)
            while updates:
                on_update(updates.popleft())
            on_update(None)
        return answered.result()
    finally:
        given_up.set()
        answered.cancel()


def fingerprint(make_params: Callable[[], FetchParams]) -> Fingerprint:
    """The same text while the model is on disk, NaN otherwise; never raises, no network."""
    deadline = time.monotonic() + IS_CHANGED_SECONDS

    def on_update(progress: Progress | None) -> None:
        # ComfyUI swallows an interrupt that is raised here, and raises its own at the next node.
        if time.monotonic() > deadline or comfyui.is_interrupted():
            raise TimeoutError

    try:
        params = make_params()
        asked = {name: text for name, text in params.items() if name in ("url", "type", "auth")}
        answer = request("isChanged", asked, on_update)["fingerprint"]
        return answer if isinstance(answer, str) else math.nan
    except Exception as failure:  # the node runs then, and tells what is wrong in a better place
        log.debug("IS_CHANGED has no answer: %s", failure)
        return math.nan


def failure_message(params: FetchParams, error: RpcError) -> str:
    """What ComfyUI shows, in the shape that clients parse (store contract, section 7.1)."""
    lines = [f"Failed to download {params['type']} model: {sentence(error)}"]
    if error.data.get("kind") == "diskFull":
        lines.append(f"[ANYMATIX_STORAGE_FULL:{full_volume(error, params['type'])}]")
    lines.append(f"URL: {redact(str(error.data.get('url') or params['url']))}")
    return "\n".join(lines)


def sentence(error: RpcError) -> str:
    """What failed and what to do, on one line."""
    told = " ".join(str(error).split())
    if told[-1:] not in (".", "!", "?"):
        told += "."
    hint = error.data.get("hint")
    return f"{told} {redact(str(hint))}" if hint else told


def full_volume(error: RpcError, kind: str | None = None) -> Any:
    """The folder that has no space left, as exactly as it is known."""
    settings = comfyui.settings()
    folders = settings.get("folders", {}).get(kind, [])
    return error.data.get("volume") or next(iter(folders), settings.get("modelsDir"))


def _tell_annotator_folder() -> None:
    """Names the folder of the annotator types to the pack that loads them, unless the owner has."""
    models_dir = comfyui.models_dir()
    if models_dir is not None:
        os.environ.setdefault(ANNOTATOR_VARIABLE, os.path.join(models_dir, "annotator_ckpts"))


@functools.cache
def _warn_of_token_in_workflow() -> None:
    """Warns the first time only."""
    notices.tell(
        "A workflow carries an access token, which ComfyUI shows in its queue, history and saved"
        " images: remove it from the workflow and set HF_TOKEN or CIVITAI_API_TOKEN in ComfyUI's"
        " environment instead."
    )
