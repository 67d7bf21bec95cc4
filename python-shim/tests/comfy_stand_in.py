"""The part of ComfyUI that the nodes meet, behaving as a real one was measured to behave.

:class:`ComfyUI` puts modules named ``comfy``, ``folder_paths``, ``server``, ... in place while it
is entered, and runs prompts in the API format as ComfyUI's executor does: validation of links, then
IS_CHANGED, then the nodes that are not cached, with the messages that a client would get. It is a
ComfyUI that awaits async nodes and tells the executing node, or, on request, one before that.
``test_comfy_stand_in`` states each fact that the other tests lean on.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import itertools
import json
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
from typing import Any, ClassVar, NamedTuple

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


class ExecutionContext(NamedTuple):
    """What ``get_executing_context`` tells."""

    prompt_id: str
    node_id: str
    list_index: int | None


_context: contextvars.ContextVar[ExecutionContext | None] = contextvars.ContextVar(
    "context", default=None
)


class Message(NamedTuple):
    """What a client was sent."""

    event: str
    data: Any
    client_id: str | None


class ComfyUI:
    """A ComfyUI whose models folder is ``base/models``; nothing exists there before it is made.

    ``is_async`` is false for a version from before async nodes.
    """

    def __init__(
        self,
        base: Path,
        node_classes: Mapping[str, type[Any]],
        *,
        is_async: bool = True,
        client_id: str | None = "the-client",
    ) -> None:
        self.base = base
        self.models_dir = base / "models"
        self.messages: list[Message] = []
        self.on_message: Callable[[Message], None] = lambda message: None
        self.progress_threads: set[int] = set()
        self.interrupt_checked_in: set[int] = set()
        self.folder_table = self._default_folders()
        self.node_classes = {**self._built_in_nodes(), **node_classes}
        # What a prompt server has of the prompt that runs.
        self.client_id: str | None = None
        self.last_node_id: str | None = None
        self.last_prompt_id: str | None = None
        self._prompt_client = client_id
        self._is_async = is_async
        self._prompt_numbers = itertools.count(1)
        self._interrupted = False
        self._interrupt_lock = threading.RLock()
        self._cache: dict[str, tuple[Any, ...]] = {}
        self._signatures: dict[str, str] = {}
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
        self.client_id = self._prompt_client
        self.last_prompt_id = f"prompt-{next(self._prompt_numbers)}"
        self._signatures = self._sign(prompt)
        order = self._execution_order(prompt)
        run = Run("success")
        run.cached = sorted(node for node in order if self._signatures[node] in self._cache)
        # Only the last prompt's values are kept.
        kept = {self._signatures[node] for node in run.cached}
        self._cache = {key: value for key, value in self._cache.items() if key in kept}
        if self._is_async:
            asyncio.run(self._run_async(prompt, order, run))
        else:
            for node in order:
                if not self._execute(node, prompt, run):
                    break
        self.last_node_id = None
        return run

    def events(self, event: str, node: str | None = None) -> list[Any]:
        """The data of the messages of a kind, of all nodes or of one."""
        return [
            message.data
            for message in self.messages
            if message.event == event and node in (None, message.data["node"])
        ]

    def progress_of(self, node: str) -> list[int]:
        """The values that the node's progress bar was sent, in order."""
        return [data["value"] for data in self.events("progress", node)]

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
        folder_paths.get_full_path = self._full_path_or_none
        folder_paths.get_full_path_or_raise = self._full_path
        server: Any = ModuleType("server")
        server.PromptServer = type("PromptServer", (), {"instance": self})
        nodes: Any = ModuleType("nodes")
        nodes.NODE_CLASS_MAPPINGS = self.node_classes
        execution: Any = ModuleType("execution")
        execution.execute = _execute_async if self._is_async else _execute_sync
        modules = {
            "comfy": comfy,
            "comfy.model_management": management,
            "comfy.utils": utils,
            "folder_paths": folder_paths,
            "server": server,
            "nodes": nodes,
            "execution": execution,
        }
        if self._is_async:
            context: Any = ModuleType("comfy_execution.utils")
            context.get_executing_context = _context.get
            modules["comfy_execution.utils"] = context
        return modules

    def send_sync(self, event: str, data: Any, sid: str | None = None) -> None:
        message = Message(event, data, sid)
        self.messages.append(message)
        self.on_message(message)

    def send_progress_text(self, text: str, node_id: str, sid: str | None = None) -> None:
        self.send_sync("text", {"node": node_id, "text": text}, sid)

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
                self.node_id = node_id

            def update_absolute(self, value: int, total: int | None = None) -> None:
                if total is not None:
                    self.total = total
                comfy.progress_threads.add(threading.get_ident())
                comfy._throw_if_interrupted()
                context = _context.get()
                running = context.node_id if context is not None else comfy.last_node_id
                node = self.node_id if self.node_id is not None else running
                message = {"value": value, "max": self.total, "node": node}
                comfy.send_sync("progress", message, comfy.client_id)

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

    def _full_path_or_none(self, key: str, name: str) -> str | None:
        try:
            return self._full_path(key, name)
        except FileNotFoundError:
            return None

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
            node_class = self.node_classes[spec["class_type"]]
            for name, declared in node_class.INPUT_TYPES().get("required", {}).items():
                if name not in spec["inputs"]:
                    return {"type": "required_input_missing", "node": node, "details": name}
                value, wanted = spec["inputs"][name], declared[0]
                if is_link(value):
                    origin = self.node_classes[prompt[value[0]]["class_type"]]
                    # ComfyUI asks with !=, the whole trick of a type that connects to anything.
                    if origin.RETURN_TYPES[value[1]] != wanted and wanted != "*":
                        return {"type": "return_type_mismatch", "node": node, "details": name}
                elif isinstance(wanted, list) and value not in wanted:
                    return {"type": "value_not_in_list", "node": node, "details": name}
        if not any(self._is_output(spec) for spec in prompt.values()):
            return {"type": "prompt_no_outputs"}
        return None

    def _is_output(self, spec: dict[str, Any]) -> bool:
        return bool(getattr(self.node_classes[spec["class_type"]], "OUTPUT_NODE", False))

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

    def _sign(self, prompt: Prompt) -> dict[str, str]:
        """What each node's result is cached under: class, inputs, fingerprint, and its ancestors.

        The node's id is part of it only if the node asks for it as a hidden input.
        """
        signatures: dict[str, str] = {}

        def sign(node: str) -> str:
            if node not in signatures:
                spec = prompt[node]
                inputs = {
                    name: [sign(value[0]), value[1]] if is_link(value) else value
                    for name, value in spec["inputs"].items()
                }
                fingerprint = self._fingerprint(node, spec)
                # NaN equals nothing, itself included.
                is_nan = isinstance(fingerprint, float) and math.isnan(fingerprint)
                changed = f"NaN {next(self._nan_numbers)}" if is_nan else fingerprint
                hidden = self._hidden(node, spec)
                signatures[node] = json.dumps([spec["class_type"], inputs, changed, hidden])
            return signatures[node]

        for node in prompt:
            sign(node)
        return signatures

    _nan_numbers = itertools.count()

    def _hidden(self, node: str, spec: dict[str, Any]) -> dict[str, str]:
        declared = self.node_classes[spec["class_type"]].INPUT_TYPES().get("hidden", {})
        return {name: node for name, kind in declared.items() if kind == "UNIQUE_ID"}

    def _fingerprint(self, node: str, spec: dict[str, Any]) -> Any:
        node_class = self.node_classes[spec["class_type"]]
        if not hasattr(node_class, "IS_CHANGED"):
            return ""
        inputs = {k: None if is_link(v) else v for k, v in spec["inputs"].items()}
        try:
            return node_class.IS_CHANGED(**inputs, **self._hidden(node, spec))
        except Exception as error:
            logging.getLogger("comfy_stand_in").warning("WARNING: %s", error)
            return math.nan

    async def _run_async(self, prompt: Prompt, order: list[str], run: Run) -> None:
        """Starts what is ready, async nodes first, and waits only when nothing else is to do.

        The first failure ends it; leaving the loop then cancels the nodes that still wait.
        """
        pending: dict[str, asyncio.Task[Any]] = {}
        while len(run.outputs) < len(order):
            for node in [node for node, task in pending.items() if task.done()]:
                if not self._finish(node, prompt, run, pending.pop(node).result):
                    return
            ready = [
                node
                for node in order
                if node not in run.outputs
                and node not in pending
                and all(origin in run.outputs for origin in _origins(prompt[node]))
            ]
            if ready:
                node = min(ready, key=lambda ready_node: not self._is_coroutine(prompt[ready_node]))
                if not self._is_coroutine(prompt[node]):
                    if not self._execute(node, prompt, run):
                        return
                elif not self._finish_cached(node, run):
                    self._announce(node, run)
                    pending[node] = asyncio.create_task(self._await_node(node, prompt, run))
                    await asyncio.sleep(0)
            elif pending:
                await asyncio.wait(pending.values(), return_when=asyncio.FIRST_COMPLETED)

    def _is_coroutine(self, spec: dict[str, Any]) -> bool:
        node_class = self.node_classes[spec["class_type"]]
        return inspect.iscoroutinefunction(getattr(node_class, node_class.FUNCTION))

    async def _await_node(self, node: str, prompt: Prompt, run: Run) -> Any:
        self._throw_if_interrupted()
        token = self._enter_context(node)
        try:
            return await self._function(node, prompt)(**self._inputs(node, prompt, run))
        finally:
            _context.reset(token)

    def _execute(self, node: str, prompt: Prompt, run: Run) -> bool:
        if self._finish_cached(node, run):
            return True
        self._announce(node, run)

        def call() -> Any:
            self._throw_if_interrupted()
            token = self._enter_context(node)
            try:
                return self._function(node, prompt)(**self._inputs(node, prompt, run))
            finally:
                _context.reset(token)

        return self._finish(node, prompt, run, call)

    def _announce(self, node: str, run: Run) -> None:
        self.last_node_id = node
        run.executed.append(node)

    def _enter_context(self, node: str) -> Any:
        known = self._is_async and self.last_prompt_id is not None
        return _context.set(ExecutionContext(str(self.last_prompt_id), node, 0) if known else None)

    def _function(self, node: str, prompt: Prompt) -> Callable[..., Any]:
        node_class = self.node_classes[prompt[node]["class_type"]]
        function: Callable[..., Any] = getattr(node_class(), node_class.FUNCTION)
        return function

    def _inputs(self, node: str, prompt: Prompt, run: Run) -> dict[str, Any]:
        spec = prompt[node]
        given = {
            name: run.outputs[value[0]][value[1]] if is_link(value) else value
            for name, value in spec["inputs"].items()
        }
        return {**given, **self._hidden(node, spec)}

    def _finish_cached(self, node: str, run: Run) -> bool:
        cached = self._cache.get(self._signatures[node])
        if cached is not None:
            run.outputs[node] = cached
        return cached is not None

    def _finish(self, node: str, prompt: Prompt, run: Run, result_of: Callable[[], Any]) -> bool:
        """Takes a node's result, or tells how it failed; whether the prompt goes on."""
        try:
            result = result_of()
            len(result)  # a node that returns None fails just here
        except InterruptProcessingException:
            run.status = "execution_interrupted"
            run.details = {"node_id": node, "executed": list(run.outputs)}
            return False
        except Exception as error:
            inputs = self._inputs(node, prompt, run)
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
        run.outputs[node] = result
        self._cache[self._signatures[node]] = result
        return True


async def _execute_async() -> None:
    """An executor that awaits nodes is a coroutine function itself."""


def _execute_sync() -> None:
    """One that does not is none."""


def _origins(spec: dict[str, Any]) -> list[str]:
    return [value[0] for value in spec["inputs"].values() if is_link(value)]


def is_link(value: Any) -> bool:
    """Whether an input's value is a link: ComfyUI takes every list of two for one."""
    return isinstance(value, list) and len(value) == 2
