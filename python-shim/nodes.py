"""The nodes, and everything else that touches ComfyUI.

ComfyUI's modules are looked up on use, so that this module loads anywhere and at no cost.
"""

from __future__ import annotations

import functools
import logging
import math
import os
import re
import sys
import time
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Union

from .sidecar import Progress, RpcError, SidecarProcess, redact

PROGRESS_STEPS = 1000
"""The length of a node's progress bar."""

IS_CHANGED_SECONDS = 10.0
"""How long IS_CHANGED waits for the process, which it may have to start."""

log = logging.getLogger("AnymatixFetcher")

sidecar_process = SidecarProcess(Path(__file__).parent)
"""The one sidecar process of this ComfyUI; not started before a node needs it."""

NodeOutput = tuple[str, str]
Fingerprint = Union[str, float]
FetchParams = dict[str, str]


class FetchError(RuntimeError):
    """A model could not be fetched; the message is what ComfyUI shows."""


class AnyType(str):
    """A socket type that connects to every input, the file lists of the built-in loaders included.

    ComfyUI and its front end ask whether two types differ; this one never does.
    """

    def __ne__(self, other: object) -> bool:
        return False


ANY = AnyType("*")


class AnymatixFetcher:
    """Fetches the model that a dict names, unless it is on disk already."""

    CATEGORY = "Anymatix"
    DESCRIPTION = (
        "Downloads a model into ComfyUI's folder for its type and gives its path, and its name for"
        " the built-in loaders. A model that is there already is not downloaded again."
    )
    FUNCTION = "download_model"
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING", ANY)
    RETURN_NAMES = ("path", "name")
    OUTPUT_TOOLTIPS = (
        "Absolute path of the model file.",
        "The model's name as loaders list it; connect it to ckpt_name, lora_name, vae_name, ...",
    )

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"url": ({"url": "STRING", "type": "STRING", "auth": "STRING"}, {})}}

    def download_model(self, url: object) -> NodeOutput:
        """Absolute path and loader name of the model; blocks until it is there.

        Raises :class:`FetchError`, or ComfyUI's own interrupt when the user pressed Stop.
        """
        return _fetch(_fetch_params(url))

    @classmethod
    def IS_CHANGED(cls, url: object) -> Fingerprint:
        """The same text while the model is on disk, NaN otherwise; never raises, no network."""
        return _fingerprint(lambda: _fetch_params(url))


class AnymatixCheckpointFetcher:
    """Fetches a checkpoint by its bare url; kept for old workflows."""

    CATEGORY = "Anymatix"
    DEPRECATED = True
    DESCRIPTION = "Use Anymatix Fetcher instead."
    FUNCTION = "download_model"
    OUTPUT_NODE = True
    RETURN_TYPES = AnymatixFetcher.RETURN_TYPES
    RETURN_NAMES = AnymatixFetcher.RETURN_NAMES
    OUTPUT_TOOLTIPS = AnymatixFetcher.OUTPUT_TOOLTIPS

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"url": ("STRING", {})}, "optional": {"auth": ("STRING", {})}}

    def download_model(self, url: object, auth: object = None) -> NodeOutput:
        """See :meth:`AnymatixFetcher.download_model`."""
        return _fetch(_checkpoint_params(url, auth))

    @classmethod
    def IS_CHANGED(cls, url: object, auth: object = None) -> Fingerprint:
        """See :meth:`AnymatixFetcher.IS_CHANGED`."""
        return _fingerprint(lambda: _checkpoint_params(url, auth))


NODE_CLASS_MAPPINGS = {
    "AnymatixFetcher": AnymatixFetcher,
    "AnymatixCheckpointFetcher": AnymatixCheckpointFetcher,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "AnymatixFetcher": "Anymatix Fetcher",
    "AnymatixCheckpointFetcher": "Anymatix Checkpoint Fetcher (deprecated)",
}


def _fetch_params(spec: object) -> FetchParams:
    """The params of ``fetch`` from a node's dict; raises :class:`FetchError` if it is not usable.

    ComfyUI checks nothing of an input whose type is a dict: anything may come in here.
    """
    if not isinstance(spec, Mapping):
        raise FetchError(
            "Anymatix Fetcher needs an object as its input, such as"
            ' {"url": "https://...", "type": "checkpoint"}; it got'
            f" {_kind_of(spec)}."
        )
    params: FetchParams = {}
    for name in ("url", "type", "auth", "sha256", "name"):
        value = spec.get(name)
        if value is None or value == "":
            if name in ("url", "type"):
                raise FetchError(
                    f"The input of Anymatix Fetcher has no `{name}`; it needs a `url` and a `type`."
                )
        elif isinstance(value, str):
            params[name] = value
        else:
            raise FetchError(
                f"The `{name}` in the input of Anymatix Fetcher must be a text, not"
                f" {_kind_of(value)}."
            )
    return params


def _kind_of(value: object) -> str:
    return "nothing" if value is None else f"a value of type {type(value).__name__}"


def _checkpoint_params(url: object, auth: object) -> FetchParams:
    """The params of ``fetch`` that find a checkpoint where this node has always stored it."""
    if not isinstance(url, str) or not url:
        raise FetchError("Anymatix Checkpoint Fetcher has no `url`; it needs the model's link.")
    if auth is not None and not isinstance(auth, str):
        raise FetchError(
            f"The `auth` of Anymatix Checkpoint Fetcher must be a text, not {_kind_of(auth)}."
        )
    base, tokens = split_tokens(url)
    tail = "&".join(part for part in (tokens, auth) if part)
    params = {"url": base, "type": "checkpoint"}
    return {**params, "auth": tail} if tail else params


def split_tokens(url: str) -> tuple[str, str]:
    """The url without its ``token`` pairs, and these pairs as a query tail.

    The rest of the query is re-encoded even where there is no token: stored names are hashes of
    the url that this has always made (store contract, section 1.1).
    """
    # What urlsplit does by itself from Python 3.11.4 and 3.9.5 on.
    cleaned = re.sub(r"[\t\r\n]", "", url.lstrip("".join(map(chr, range(0x21)))))
    try:
        parts = urllib.parse.urlparse(cleaned)
    except ValueError:
        return url, ""  # not a url: saying so is the process's business
    pairs = urllib.parse.parse_qsl(parts.query, keep_blank_values=True)
    rest = urllib.parse.urlencode([pair for pair in pairs if pair[0] != "token"])
    tokens = urllib.parse.urlencode([pair for pair in pairs if pair[0] == "token"])
    return urllib.parse.urlunparse(parts._replace(query=rest)), tokens


def _fetch(params: FetchParams) -> NodeOutput:
    if "auth" in params:
        _warn_of_token_in_workflow()
    bar = _Bar()

    def on_update(progress: Progress | None) -> None:
        # In the node's own thread: raising clears ComfyUI's flag, and nobody else may do that.
        _raise_if_interrupted()
        if progress is not None:
            bar.show(progress)

    settings = _settings()
    try:
        result = sidecar_process.request("fetch", params, settings=settings, on_update=on_update)
    except RpcError as error:
        raise FetchError(_message(params, error, settings)) from None
    return result["path"], result["relativeName"]


def _fingerprint(make_params: Callable[[], FetchParams]) -> Fingerprint:
    deadline = time.monotonic() + IS_CHANGED_SECONDS

    def on_update(progress: Progress | None) -> None:
        if time.monotonic() > deadline:
            raise TimeoutError

    try:
        params = make_params()
        result = sidecar_process.request(
            "isChanged",
            {name: params[name] for name in ("url", "type", "auth") if name in params},
            settings=_settings(),
            on_update=on_update,
        )
        fingerprint = result["fingerprint"]
        return fingerprint if isinstance(fingerprint, str) else math.nan
    except Exception as failure:  # the node runs then, and tells what is wrong in a better place
        log.debug("IS_CHANGED has no answer: %s", failure)
        return math.nan


def _message(params: FetchParams, error: RpcError, settings: Mapping[str, Any]) -> str:
    """What ComfyUI shows, in the shape that clients parse (store contract, section 7.1)."""
    sentence = " ".join(str(error).split())
    if sentence[-1:] not in (".", "!", "?"):
        sentence += "."
    hint = error.data.get("hint")
    if hint:
        sentence += f" {redact(str(hint))}"
    lines = [f"Failed to download {params['type']} model: {sentence}"]
    if error.data.get("kind") == "diskFull":
        folders = settings.get("folders", {}).get(params["type"], [])
        volume = error.data.get("volume") or next(iter(folders), settings.get("modelsDir"))
        lines.append(f"[ANYMATIX_STORAGE_FULL:{volume}]")
    lines.append(f"URL: {redact(str(error.data.get('url') or params['url']))}")
    return "\n".join(lines)


@functools.cache
def _warn_of_token_in_workflow() -> None:
    """Warns the first time only."""
    log.warning(
        "A workflow carries an access token, which ComfyUI shows in its queue, history and saved"
        " images: remove it from the workflow and set HF_TOKEN or CIVITAI_API_TOKEN in ComfyUI's"
        " environment instead."
    )


class _Bar:
    """The node's progress bar. Showing a value may raise ComfyUI's interrupt."""

    def __init__(self) -> None:
        utils = _comfyui("comfy.utils")
        self._bar = utils.ProgressBar(PROGRESS_STEPS) if utils is not None else None
        self._shown = -1
        self._update(0)

    def show(self, progress: Progress) -> None:
        share = progress.get("progress")
        if isinstance(share, (int, float)):  # null while the length is unknown
            self._update(min(PROGRESS_STEPS, round(PROGRESS_STEPS * share)))

    def _update(self, step: int) -> None:
        if self._bar is not None and step != self._shown:
            self._shown = step
            self._bar.update_absolute(step)


def _raise_if_interrupted() -> None:
    management = _comfyui("comfy.model_management")
    if management is not None:
        management.throw_exception_if_processing_interrupted()


def _settings() -> dict[str, Any]:
    """The params of ``initialize``: the model folders that ComfyUI uses at this moment."""
    settings: dict[str, Any] = {"clientInfo": {"name": "ComfyUI"}}
    folder_paths = _comfyui("folder_paths")
    if folder_paths is not None:
        table = folder_paths.folder_names_and_paths
        models_dir = os.path.abspath(folder_paths.models_dir)
        pack_folders = [str(path) for path in table.get("custom_nodes", ([],))[0]]
        if not _may_hold_packs(models_dir, pack_folders):
            settings["modelsDir"] = models_dir
        settings["folders"] = model_folders(table, pack_folders)
    return settings


def model_folders(table: Mapping[str, Any], pack_folders: list[str]) -> dict[str, list[str]]:
    """ComfyUI's folder table as ``initialize`` takes it: absolute folders, in ComfyUI's order.

    Left out is every folder that is, contains or lies in a folder of node packs: a download must
    never land where ComfyUI loads code from.
    """
    folders: dict[str, list[str]] = {}
    for key, entry in list(table.items()):  # a copy: a pack may register a folder meanwhile
        if key in ("custom_nodes", "configs"):
            continue
        paths = dict.fromkeys(os.path.abspath(path) for path in entry[0])
        kept = [path for path in paths if not _may_hold_packs(path, pack_folders)]
        if kept:
            folders[str(key)] = kept
    return folders


def _may_hold_packs(folder: str, pack_folders: list[str]) -> bool:
    for form in (os.path.abspath(folder), os.path.realpath(folder)):
        if "custom_nodes" in Path(form.lower()).parts:
            return True
        if os.path.isdir(os.path.join(form, "custom_nodes")):
            return True
        for pack_folder in pack_folders:
            packs = os.path.realpath(pack_folder)
            if _is_within(packs, form) or _is_within(form, packs):
                return True
    return False


def _is_within(inner: str, outer: str) -> bool:
    inner_parts = Path(os.path.normcase(inner)).parts
    outer_parts = Path(os.path.normcase(outer)).parts
    return inner_parts[: len(outer_parts)] == outer_parts


def _comfyui(module: str) -> ModuleType | None:
    """One of ComfyUI's modules, which it loads before any node runs; None outside of ComfyUI."""
    return sys.modules.get(module)
