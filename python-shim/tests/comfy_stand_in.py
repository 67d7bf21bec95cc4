"""The part of ComfyUI that the nodes meet, behaving as a real one was measured to behave.

:class:`ComfyUI` puts modules named ``comfy``, ``folder_paths`` and ``server`` in place while it is
entered, and runs prompts in the API format as ComfyUI's executor does: validation of links, then
IS_CHANGED, then the nodes that are not cached, with the messages that a client would get.
``test_comfy_stand_in`` states each fact that the other tests lean on.
"""

from __future__ import annotations

import logging
import math
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, TracebackType
from typing import Any, ClassVar

MODEL_SUFFIXES = {".ckpt", ".pt", ".pt2", ".bin", ".pth", ".safetensors", ".pkl", ".sft"}

Prompt = dict[str, dict[str, Any]]


class InterruptProcessingException(Exception):
    """What ends a node when the user pressed Stop."""


@dataclass
class Run:
    """What one prompt did."""

    status: str
    """``success``, ``execution_error``, ``execution_interrupted`` or ``refused``."""
    details: dict[str, Any] = field(default_factory=dict)
    """The data of the message that ended it, or the validation error."""
    outputs: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    server_log: str = ""
    """What ComfyUI prints of a failure: all of the exception's chain."""


class ComfyUI:
    """A ComfyUI whose models folder is ``base/models``; nothing exists there before it is made."""

    def __init__(self, base: Path, node_classes: Mapping[str, type[Any]]) -> None:
        self.base = base
        self.models_dir = base / "models"
        self.messages: list[tuple[str, dict[str, Any]]] = []
        self.progress_threads: set[int] = set()
        self.interrupt_checked_in: set[int] = set()
        self.folder_table = self._default_folders()
        self._node_classes = {**self._built_in_nodes(), **node_classes}
        self._interrupted = False
        self._interrupt_lock = threading.RLock()
        self._executing: str | None = None
        self._cache: dict[str, tuple[Any, tuple[Any, ...]]] = {}
        self._fingerprints: dict[str, Any] = {}
        self._saved_modules: dict[str, ModuleType | None] = {}

    def __enter__(self) -> ComfyUI:
        for name, module in self._modules().items():
            self._saved_modules[name] = sys.modules.get(name)
            sys.modules[name] = module
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for name, module in self._saved_modules.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module

    # What a user does.

    def press_stop(self) -> None:
        with self._interrupt_lock:
            self._interrupted = True

    def run(self, prompt: Prompt) -> Run:
        """Runs a prompt to its end in this thread."""
        with self._interrupt_lock:
            self._interrupted = False
        refusal = self._validate(prompt)
        if refusal is not None:
            return Run("refused", refusal)
        run = Run("success")
        unchanged = self._unchanged_nodes(prompt)
        run.cached = sorted(unchanged)
        results = {node: self._cache[node][1] for node in unchanged}
        # Only the last prompt's values are kept.
        self._cache = {node: self._cache[node] for node in unchanged}
        for node in self._execution_order(prompt):
            if node not in results and not self._execute(node, prompt, results, run):
                break
        run.outputs = results
        return run

    def progress_of(self, node: str) -> list[int]:
        """The values that the node's progress bar was sent, in order."""
        return [
            data["value"]
            for event, data in self.messages
            if event == "progress" and data["node"] == node
        ]

    def list_models(self, key: str) -> list[str]:
        """What a loader of that folder offers: names relative to the folder that holds them."""
        names = set()
        for folder in self.folder_table[key][0]:
            for parent, _, files in os.walk(folder):
                for file in files:
                    if os.path.splitext(file)[1].lower() in MODEL_SUFFIXES:
                        names.add(os.path.relpath(os.path.join(parent, file), folder))
        return sorted(names)

    # The modules that a node sees.

    def _modules(self) -> dict[str, ModuleType]:
        comfy = ModuleType("comfy")
        management: Any = ModuleType("comfy.model_management")
        management.InterruptProcessingException = InterruptProcessingException
        management.processing_interrupted = lambda: self._interrupted
        management.throw_exception_if_processing_interrupted = self._throw_if_interrupted
        utils: Any = ModuleType("comfy.utils")
        utils.ProgressBar = self._progress_bar_class()
        folder_paths: Any = ModuleType("folder_paths")
        folder_paths.base_path = str(self.base)
        folder_paths.models_dir = str(self.models_dir)
        folder_paths.folder_names_and_paths = self.folder_table
        folder_paths.get_filename_list = self.list_models
        folder_paths.get_full_path_or_raise = self._full_path
        server: Any = ModuleType("server")
        server.PromptServer = type("PromptServer", (), {"instance": self})
        return {
            "comfy": comfy,
            "comfy.model_management": management,
            "comfy.utils": utils,
            "folder_paths": folder_paths,
            "server": server,
        }

    def send_sync(self, event: str, data: dict[str, Any], sid: str | None = None) -> None:
        self.messages.append((event, data))

    def _throw_if_interrupted(self) -> None:
        self.interrupt_checked_in.add(threading.get_ident())
        with self._interrupt_lock:
            if self._interrupted:
                self._interrupted = False
                raise InterruptProcessingException

    def _progress_bar_class(self) -> type[Any]:
        comfy = self

        class ProgressBar:
            def __init__(self, total: int, node_id: str | None = None) -> None:
                self.total = total
                self.node_id = node_id if node_id is not None else comfy._executing

            def update_absolute(self, value: int, total: int | None = None) -> None:
                if total is not None:
                    self.total = total
                comfy.progress_threads.add(threading.get_ident())
                comfy._throw_if_interrupted()
                message = {"value": value, "max": self.total, "node": self.node_id}
                comfy.send_sync("progress", message)

        return ProgressBar

    def _default_folders(self) -> dict[str, tuple[list[str], set[str]]]:
        def folders(*names: str) -> tuple[list[str], set[str]]:
            return [str(self.models_dir / name) for name in names], set(MODEL_SUFFIXES)

        return {
            "checkpoints": folders("checkpoints"),
            "configs": ([str(self.models_dir / "configs")], {".yaml"}),
            "loras": folders("loras"),
            "vae": folders("vae"),
            "text_encoders": folders("text_encoders", "clip"),
            "diffusion_models": folders("unet", "diffusion_models"),
            "custom_nodes": ([str(self.base / "custom_nodes")], set()),
        }

    def _full_path(self, key: str, name: str) -> str:
        # A name is taken as relative to each folder, whatever it looks like.
        relative = os.path.relpath(os.path.join("/", name), "/")
        for folder in self.folder_table[key][0]:
            path = os.path.join(folder, relative)
            if os.path.isfile(path):
                return path
        raise FileNotFoundError(f"Model in folder '{key}' with filename '{name}' not found.")

    def _built_in_nodes(self) -> dict[str, type[Any]]:
        comfy = self

        def loader(key: str, input_name: str) -> type[Any]:
            class Loader:
                RETURN_TYPES: ClassVar[tuple[str, ...]] = ("MODEL",)
                FUNCTION = "load"

                @classmethod
                def INPUT_TYPES(cls) -> dict[str, Any]:
                    return {"required": {input_name: (comfy.list_models(key),)}}

                def load(self, **inputs: str) -> tuple[bytes]:
                    return (Path(comfy._full_path(key, inputs[input_name])).read_bytes(),)

            return Loader

        class PreviewAny:
            RETURN_TYPES: ClassVar[tuple[str, ...]] = ()
            FUNCTION = "show"
            OUTPUT_NODE = True

            @classmethod
            def INPUT_TYPES(cls) -> dict[str, Any]:
                return {"required": {"source": ("*", {})}}

            def show(self, source: Any) -> tuple[()]:
                return ()

        class V3Loader(loader("loras", "lora_name")):  # type: ignore[misc]
            @classmethod
            def INPUT_TYPES(cls) -> dict[str, Any]:
                return {"required": {"lora_name": ("COMBO", {"options": ["none"]})}}

        return {
            "CheckpointLoaderSimple": loader("checkpoints", "ckpt_name"),
            "VAELoader": loader("vae", "vae_name"),
            "PreviewAny": PreviewAny,
            "V3LoraLoader": V3Loader,
        }

    # The executor.

    def _validate(self, prompt: Prompt) -> dict[str, Any] | None:
        for node, spec in prompt.items():
            node_class = self._node_classes[spec["class_type"]]
            for name, declared in node_class.INPUT_TYPES().get("required", {}).items():
                if name not in spec["inputs"]:
                    return {"type": "required_input_missing", "node": node, "details": name}
                value, wanted = spec["inputs"][name], declared[0]
                if is_link(value):
                    origin = self._node_classes[prompt[value[0]]["class_type"]]
                    # ComfyUI asks with !=, the whole trick of a type that connects to anything.
                    if origin.RETURN_TYPES[value[1]] != wanted and wanted != "*":
                        return {"type": "return_type_mismatch", "node": node, "details": name}
                elif isinstance(wanted, list) and value not in wanted:
                    return {"type": "value_not_in_list", "node": node, "details": name}
        if not any(self._is_output(spec) for spec in prompt.values()):
            return {"type": "prompt_no_outputs"}
        return None

    def _is_output(self, spec: dict[str, Any]) -> bool:
        return bool(getattr(self._node_classes[spec["class_type"]], "OUTPUT_NODE", False))

    def _execution_order(self, prompt: Prompt) -> list[str]:
        """What the output nodes need, each node after those it is linked to."""
        order: list[str] = []

        def visit(node: str) -> None:
            for value in prompt[node]["inputs"].values():
                if is_link(value):
                    visit(value[0])
            if node not in order:
                order.append(node)

        for node, spec in prompt.items():
            if self._is_output(spec):
                visit(node)
        return order

    def _unchanged_nodes(self, prompt: Prompt) -> set[str]:
        fingerprints = {node: self._fingerprint(spec) for node, spec in prompt.items()}
        unchanged: set[str] = set()
        for node in self._execution_order(prompt):
            spec = prompt[node]
            links = [value[0] for value in spec["inputs"].values() if is_link(value)]
            signature = (spec, fingerprints[node])
            # NaN equals nothing, itself included.
            same = node in self._cache and self._cache[node][0] == signature
            if same and fingerprints[node] == fingerprints[node] and unchanged.issuperset(links):
                unchanged.add(node)
        self._fingerprints = fingerprints
        return unchanged

    def _fingerprint(self, spec: dict[str, Any]) -> Any:
        node_class = self._node_classes[spec["class_type"]]
        if not hasattr(node_class, "IS_CHANGED"):
            return ""
        inputs = {k: None if is_link(v) else v for k, v in spec["inputs"].items()}
        try:
            return node_class.IS_CHANGED(**inputs)
        except Exception as error:
            logging.getLogger("comfy_stand_in").warning("WARNING: %s", error)
            return math.nan

    def _execute(
        self, node: str, prompt: Prompt, results: dict[str, tuple[Any, ...]], run: Run
    ) -> bool:
        spec = prompt[node]
        node_class = self._node_classes[spec["class_type"]]
        inputs = {
            name: results[value[0]][value[1]] if is_link(value) else value
            for name, value in spec["inputs"].items()
        }
        self._executing = node
        run.executed.append(node)
        try:
            self._throw_if_interrupted()
            function: Callable[..., Any] = getattr(node_class(), node_class.FUNCTION)
            result = function(**inputs)
            len(result)  # a node that returns None fails just here
        except InterruptProcessingException:
            run.status = "execution_interrupted"
            run.details = {"node_id": node, "executed": list(results)}
            return False
        except Exception as error:
            run.status = "execution_error"
            run.details = {
                "node_id": node,
                "exception_message": str(error),
                "exception_type": type(error).__name__,
                "traceback": traceback.format_tb(error.__traceback__),
                "current_inputs": {name: str(value) for name, value in inputs.items()},
            }
            run.server_log = "".join(
                traceback.format_exception(type(error), error, error.__traceback__)
            )
            return False
        finally:
            self._executing = None
        results[node] = result
        self._cache[node] = ((spec, self._fingerprints[node]), result)
        return True


def is_link(value: Any) -> bool:
    """Whether an input's value is a link: ComfyUI takes every list of two for one."""
    return isinstance(value, list) and len(value) == 2
