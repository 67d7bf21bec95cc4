"""The nodes: what they declare, and what they make of what is typed into them.

Where ComfyUI awaits nodes they are async, so that several of one prompt fetch at the same time.
That is found out when the pack is loaded, which does nothing else.
"""

from __future__ import annotations

import functools
import re
import sys
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from . import comfyui, notices
from .fetching import (
    ANNOTATOR_TYPES,
    PACK_TYPES,
    Fetch,
    FetchError,
    FetchParams,
    Fingerprint,
    fingerprint,
)

FOLDER_TYPES = {
    "checkpoint": "checkpoints",
    "lora": "loras",
    "vae": "vae",
    "controlnet": "controlnet",
    "upscale": "upscale_models",
    "diffusion_model": "diffusion_models",
    "diffusion_models/GGUF": "diffusion_models",
    "text_encoders": "text_encoders",
    "clip_vision": "clip_vision",
    "audio_encoder": "audio_encoders",
    "latent_upscale": "latent_upscale_models",
    "model_patch": "model_patches",
    "sam2": "sam2",
    "zoedepth": "zoedepth",
    "SEEDVR2_model": "SEEDVR2",
    "SEEDVR2_vae_model": "SEEDVR2",
}
"""The types that workflows have always used, with the folder of each (store contract 5)."""


class AnyType(str):
    """A socket type that connects to every input, the file lists of the built-in loaders included.

    ComfyUI and its front end ask whether two types differ; this one never does.
    """

    __hash__ = str.__hash__

    def __ne__(self, other: object) -> bool:
        return False


ANY = AnyType("*")


def _fetches(make_fetch: Callable[..., Fetch]) -> Callable[..., Any]:
    """A node's function, async where this ComfyUI awaits nodes, from one that makes its fetch.

    It gives the path and the loader name of the model, and raises :class:`FetchError`, the sidecar
    process's own error, or ComfyUI's interrupt when the user pressed Stop.
    """
    if comfyui.runs_async_nodes():

        @functools.wraps(make_fetch)
        async def fetch_async(*args: Any, **inputs: Any) -> Any:
            tell_of_namesakes()
            return await make_fetch(*args, **inputs).run_async()

        return fetch_async

    @functools.wraps(make_fetch)
    def fetch(*args: Any, **inputs: Any) -> Any:
        tell_of_namesakes()
        return make_fetch(*args, **inputs).run()

    return fetch


class _Fetching:
    """What the nodes have in common."""

    CATEGORY = "Anymatix"
    OUTPUT_NODE = True
    RETURN_TYPES = ("STRING", ANY)
    RETURN_NAMES = ("path", "name")
    OUTPUT_TOOLTIPS = (
        "Absolute path of the model file.",
        "The model's name as loaders list it; connect it to ckpt_name, lora_name, vae_name, ...",
    )


class AnymatixFetch(_Fetching):
    """Fetches the model that its widgets name, unless it is on disk already."""

    DESCRIPTION = (
        "Downloads a model into ComfyUI's folder for its type and gives its path, and its name for"
        " the built-in loaders. A model that is there already is not downloaded again."
    )
    FUNCTION = "fetch"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        url = {
            "default": "",
            "placeholder": "https://...",
            "tooltip": "Link of the model file. Access tokens belong into ComfyUI's environment.",
        }
        sha256 = {"default": "", "tooltip": "The SHA-256 that the file must have."}
        name = {"default": "", "tooltip": "A plain file name to lay beside the stored one."}
        kind = (offered_types(), {"default": "checkpoint"})
        return {
            "required": {"url": ("STRING", url), "type": kind},
            "optional": {"sha256": ("STRING", sha256), "name": ("STRING", name)},
        }

    @_fetches
    def fetch(
        self,
        url: object,
        type: object,
        sha256: object = "",
        name: object = "",
    ) -> Fetch:
        """Path and loader name of the model; see :func:`_fetches`."""
        return Fetch(_widget_params(url, type, sha256, name))

    @classmethod
    def IS_CHANGED(
        cls, url: object, type: object, sha256: object = "", name: object = ""
    ) -> Fingerprint:
        """The same text while the model is on disk, NaN otherwise; never raises, no network."""
        return fingerprint(lambda: _widget_params(url, type, sha256, name))


class AnymatixFetcher(_Fetching):
    """Fetches the model that a dict names; the node that workflows have always used."""

    DESCRIPTION = (
        "Downloads the model that an object names, for workflows that are made by programs."
        " Anymatix Fetch does the same with fields to fill in."
    )
    FUNCTION = "download_model"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"url": ({"url": "STRING", "type": "STRING", "auth": "STRING"}, {})}}

    @_fetches
    def download_model(self, url: object) -> Fetch:
        """Path and loader name of the model; see :func:`_fetches`."""
        return Fetch(_fetch_params(url))

    @classmethod
    def IS_CHANGED(cls, url: object) -> Fingerprint:
        """See :meth:`AnymatixFetch.IS_CHANGED`."""
        return fingerprint(lambda: _fetch_params(url))


class AnymatixCheckpointFetcher(_Fetching):
    """Fetches a checkpoint by its bare url; kept for old workflows."""

    DEPRECATED = True
    DESCRIPTION = "Use Anymatix Fetch instead."
    FUNCTION = "download_model"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"url": ("STRING", {})}, "optional": {"auth": ("STRING", {})}}

    @_fetches
    def download_model(self, url: object, auth: object = None) -> Fetch:
        """Path and loader name of the model; see :func:`_fetches`."""
        return Fetch(_checkpoint_params(url, auth))

    @classmethod
    def IS_CHANGED(cls, url: object, auth: object = None) -> Fingerprint:
        """See :meth:`AnymatixFetch.IS_CHANGED`."""
        return fingerprint(lambda: _checkpoint_params(url, auth))


NODE_CLASS_MAPPINGS = {
    "AnymatixFetch": AnymatixFetch,
    "AnymatixFetcher": AnymatixFetcher,
    "AnymatixCheckpointFetcher": AnymatixCheckpointFetcher,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "AnymatixFetch": "Anymatix Fetch",
    "AnymatixFetcher": "Anymatix Fetcher",
    "AnymatixCheckpointFetcher": "Anymatix Checkpoint Fetcher (deprecated)",
}


def offered_types() -> list[str]:
    """The types to choose from: those of old, several files as one, and ComfyUI's other folders."""
    covered = set(FOLDER_TYPES.values())
    others = [key for key in comfyui.model_types() if key not in covered]
    return list(dict.fromkeys([*FOLDER_TYPES, *PACK_TYPES, *ANNOTATOR_TYPES, *others]))


def tell_of_namesakes() -> None:
    """Tells which other pack has nodes of the same names, once, since ComfyUI says nothing.

    A pack that was loaded before this one is seen while this one is loaded, a later one afterwards.
    """
    in_use = getattr(comfyui.module("nodes"), "NODE_CLASS_MAPPINGS", {})
    shared: dict[str, list[str]] = {}
    for name, ours in NODE_CLASS_MAPPINGS.items():
        other = in_use.get(name)
        if other is None or other is ours:
            continue
        origin = getattr(sys.modules.get(other.__module__), "__file__", None) or other.__module__
        if origin != __file__:  # else it is this pack before a reload
            shared.setdefault(origin, []).append(name)
    for origin, names in shared.items():
        sentence = (
            f"Another node pack ({_pack_of(origin)}) has {_listed(names)} too, and ComfyUI uses the"
            " pack that is loaded last: disable one of the two."
        )
        if sentence not in notices.told():
            notices.tell(sentence)


def _pack_of(origin: str) -> str:
    """What its user calls the pack that a file is of: the name of its folder, if that is known."""
    parts = Path(origin).parts
    below = parts.index("custom_nodes") + 1 if "custom_nodes" in parts[:-1] else None
    return origin if below is None else parts[below]


def _listed(names: list[str]) -> str:
    if len(names) == 1:
        return f"a node {names[0]}"
    return f"nodes {', '.join(names[:-1])} and {names[-1]}"


tell_of_namesakes()


def _widget_params(url: object, kind: object, sha256: object, name: object) -> FetchParams:
    """The params of ``fetch`` from what was typed; nobody wants the space around a pasted link."""
    if not isinstance(url, str) or not url.strip():
        raise FetchError("Anymatix Fetch has no `url`; paste the link of the model file into it.")
    typed = {"url": url.strip(), "type": kind, "sha256": sha256, "name": name}
    return _fetch_params({k: v.strip() if isinstance(v, str) else v for k, v in typed.items()})


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
