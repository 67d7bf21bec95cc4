"""What the pack asks of ComfyUI, each thing in one place.

ComfyUI's modules are looked up on use and never imported, so that this loads anywhere and at no
cost; outside of ComfyUI every question has an answer that lets the rest work.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_NOT_FOR_MODELS = ("custom_nodes", "configs")
_HANDED_FOLDERS_KEY = "anymatix_fetcher"

_handed_folders: dict[str, None] = {}
_adopt_folders: dict[str, None] = {}
"""Folders that the owner's code has named so far, as an ordered set."""


class UnsafeFolderError(ValueError):
    """A folder that may hold code, where nothing is ever downloaded to."""


@dataclass(frozen=True)
class Execution:
    """The node that runs at this moment, and who is to hear of it."""

    node_id: str
    prompt_id: str
    client_id: str


def module(name: str) -> ModuleType | None:
    """One of ComfyUI's modules, which it loads before any node runs; None outside of ComfyUI."""
    return sys.modules.get(name)


def runs_async_nodes() -> bool:
    """Whether this ComfyUI awaits nodes; true from the version on whose executor is async."""
    return inspect.iscoroutinefunction(getattr(module("execution"), "execute", None))


def current_execution() -> Execution | None:
    """The running node and the client of its prompt; None if there is nobody to tell.

    To be asked in the node's own thread or task. A ComfyUI that awaits nodes tells each its id; one
    before that runs a node at a time, and its server knows which. Neither needs the node's id as a
    hidden input, which would make it part of the cache's key. A prompt without a client has no
    listener: what is sent without naming one would go to everybody.
    """
    server = prompt_server()
    node_id, prompt_id, client_id = (
        getattr(server, name, None) for name in ("last_node_id", "last_prompt_id", "client_id")
    )
    utils: Any = module("comfy_execution.utils")
    context = utils.get_executing_context() if hasattr(utils, "get_executing_context") else None
    if context is not None:
        node_id, prompt_id = context.node_id, context.prompt_id
    if node_id is None or prompt_id is None or client_id is None:
        return None
    return Execution(str(node_id), str(prompt_id), str(client_id))


def send_event(event: str, data: Mapping[str, Any], client_id: str | None) -> None:
    """Sends a JSON event to one client, or to all of them if that is None; any thread."""
    server = prompt_server()
    if server is not None:
        server.send_sync(event, dict(data), client_id)


def send_text(text: str, execution: Execution) -> None:
    """Shows a line on a node, where this ComfyUI can."""
    send = getattr(prompt_server(), "send_progress_text", None)
    if send is not None:
        send(text, execution.node_id, execution.client_id)


def raise_if_interrupted() -> None:
    """Raises ComfyUI's interrupt if the user pressed Stop, and clears the flag.

    To be called in the node's own thread or task only: nobody else may take the flag away.
    """
    management: Any = module("comfy.model_management")
    if management is not None:
        management.throw_exception_if_processing_interrupted()


def is_interrupted() -> bool:
    """Whether the user pressed Stop; leaves the flag to whoever is to raise; any thread."""
    management: Any = module("comfy.model_management")
    return management is not None and bool(management.processing_interrupted())


def progress_bar(steps: int) -> Any:
    """The progress bar of the running node, or None. Updating it may raise the interrupt."""
    utils: Any = module("comfy.utils")
    return utils.ProgressBar(steps) if utils is not None else None


def model_types() -> list[str]:
    """The keys of ComfyUI's folder table that hold models."""
    folder_paths: Any = module("folder_paths")
    table = folder_paths.folder_names_and_paths if folder_paths is not None else {}
    return [str(key) for key in list(table) if key not in _NOT_FOR_MODELS]


def models_dir() -> str | None:
    """ComfyUI's models folder, unless node packs lie in it."""
    folder_paths: Any = module("folder_paths")
    if folder_paths is None:
        return None
    folder = os.path.abspath(folder_paths.models_dir)
    return None if _may_hold_packs(folder, _pack_folders()) else folder


def settings() -> dict[str, Any]:
    """The params of ``initialize``: the folders that may be used at this moment."""
    named: dict[str, Any] = {"clientInfo": {"name": "ComfyUI"}}
    folder_paths: Any = module("folder_paths")
    if folder_paths is not None:
        folder = models_dir()
        if folder is not None:
            named["modelsDir"] = folder
        named["folders"] = model_folders(folder_paths.folder_names_and_paths, _pack_folders())
    if _handed_folders:
        named.setdefault("folders", {})[_HANDED_FOLDERS_KEY] = list(_handed_folders)
    if _adopt_folders:
        named["adoptDirs"] = list(_adopt_folders)
    return named


def allow_folder(folder: str) -> None:
    """Makes an absolute folder one that may be written to, until ComfyUI ends.

    Raises :class:`UnsafeFolderError` for a folder that is, contains or lies in a folder of packs.
    """
    if _may_hold_packs(folder, _pack_folders()):
        raise UnsafeFolderError(
            f"{folder} is, contains or lies in a folder of node packs: models are not stored there."
        )
    now = settings()
    known = [
        now.get("modelsDir"),
        *(path for paths in now.get("folders", {}).values() for path in paths),
    ]
    real = os.path.realpath(folder)
    if not any(root and _is_within(real, os.path.realpath(root)) for root in known):
        _handed_folders[folder] = None


def allow_adoption_from(folder: str) -> None:
    """Lets models be linked from an absolute folder, which is only read, until ComfyUI ends."""
    _adopt_folders[folder] = None


def model_folders(table: Mapping[str, Any], pack_folders: list[str]) -> dict[str, list[str]]:
    """ComfyUI's folder table as ``initialize`` takes it: absolute folders, in ComfyUI's order.

    Left out is every folder that is, contains or lies in a folder of node packs: a download must
    never land where ComfyUI loads code from.
    """
    folders: dict[str, list[str]] = {}
    for key, entry in list(table.items()):  # a copy: a pack may register a folder meanwhile
        if key in _NOT_FOR_MODELS:
            continue
        paths = dict.fromkeys(os.path.abspath(path) for path in entry[0])
        kept = [path for path in paths if not _may_hold_packs(path, pack_folders)]
        if kept:
            folders[str(key)] = kept
    return folders


def prompt_server() -> Any:
    """ComfyUI's web server, or None outside of ComfyUI."""
    server: Any = module("server")
    return getattr(getattr(server, "PromptServer", None), "instance", None)


def _pack_folders() -> list[str]:
    folder_paths: Any = module("folder_paths")
    table = folder_paths.folder_names_and_paths if folder_paths is not None else {}
    return [str(path) for path in table.get("custom_nodes", ([],))[0]]


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
