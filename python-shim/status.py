"""What a node shows of its fetch: its bar, a line of text, and events for other packs' clients.

Everything goes to the client of the prompt alone; what is sent again and again, ten times a second
at most.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from . import comfyui
from .sidecar import Progress

PROGRESS_STEPS = 1000
"""The length of a node's progress bar."""

SHORTEST_PAUSE_SECONDS = 0.1
"""Between two progress messages of one node."""

_WORDS = {
    "waiting": "Waiting",
    "resolving": "Asking the source",
    "fetching": "Downloading",
    "verifying": "Checking",
    "adopting": "Looking for a copy on disk",
}
_ANNOUNCED_PHASES = ("fetching", "verifying", "adopting")


class NodeStatus:
    """The visible state of one running node. Used in the node's own thread or task only.

    Showing something may raise ComfyUI's interrupt. ``has_phases`` is false for a type that
    fetches several files: its bar starts over with each, and no phase is announced.
    """

    def __init__(self, has_phases: bool = True) -> None:
        self._execution = comfyui.current_execution()
        self._bar = comfyui.progress_bar(PROGRESS_STEPS)
        self._step = -1
        self._phase: str | None = None
        self._has_phases = has_phases
        self._shown_at = -math.inf
        self._about = ""
        self._move_bar(0)

    def show(self, progress: Progress) -> None:
        """Shows one ``$/progress`` value."""
        if progress.get("status") == "metadata":
            self._tell_metadata(progress.get("base_model"), progress.get("trained_words"))
            return
        self._announce(progress)
        share = progress.get("progress")
        # The share is null while the length is unknown.
        if isinstance(share, (int, float)) and self._phase != "adopting":
            self._move_bar(min(PROGRESS_STEPS, round(PROGRESS_STEPS * share)))
        now = time.monotonic()
        if progress.get("status") != "progress" or now - self._shown_at < SHORTEST_PAUSE_SECONDS:
            return
        self._shown_at = now
        numbers = {name: progress.get(name) for name in ("progress", "rate", "eta")}
        self._send({"status": "progress", **numbers})
        self._text(describe(progress))

    def complete(self, result: Mapping[str, Any]) -> None:
        """Shows the result of ``fetch``."""
        if not self._about:
            self._tell_version(result.get("metadata"))
        name = result.get("relativeName")
        self._send({"status": "completed", "progress": 1.0, "name": name})
        self._text(" · ".join(part for part in (f"Ready: {name}", self._about) if part))

    def fail(self, message: str, kind: str) -> None:
        """Shows why there is no file."""
        self._send({"status": "error", "message": message, "kind": kind})
        self._text(message.split("\n", 1)[0])

    def _announce(self, progress: Progress) -> None:
        """Tells a phase before the numbers that it labels."""
        phase = begun_phase(progress)
        if not self._has_phases or phase is None or phase == self._phase:
            return
        self._phase = phase
        value = PROGRESS_STEPS if phase == "adopting" else 0
        if self._execution is not None:
            data = {
                "node": self._execution.node_id,
                "prompt_id": self._execution.prompt_id,
                "phase": phase,
                "value": value,
                "max": PROGRESS_STEPS,
            }
            comfyui.send_event("anymatix.fetch_phase", data, self._execution.client_id)
        self._move_bar(value)

    def _tell_version(self, version: object) -> None:
        """Tells what the source knows about a model that was there already."""
        if isinstance(version, Mapping):
            words = version.get("trainedWords")
            if isinstance(words, list):
                words = ", ".join(str(word) for word in words)
            self._tell_metadata(version.get("baseModel"), words)

    def _tell_metadata(self, base_model: object, trained_words: object) -> None:
        base, words = str(base_model or ""), str(trained_words or "")
        parts = [f"base model: {base}" if base else "", f"trained words: {words}" if words else ""]
        self._about = " · ".join(part for part in parts if part)
        if self._about:
            self._send({"status": "metadata", "base_model": base, "trained_words": words})

    def _send(self, data: Mapping[str, Any]) -> None:
        if self._execution is not None:
            event = {
                "type": "download",
                "data": dict(data),
                "node": self._execution.node_id,
                "prompt_id": self._execution.prompt_id,
            }
            comfyui.send_event("anymatix.download", event, self._execution.client_id)

    def _text(self, text: str) -> None:
        if self._execution is not None:
            comfyui.send_text(text, self._execution)

    def _move_bar(self, step: int) -> None:
        if self._bar is not None and step != self._step:
            self._step = step
            self._bar.update_absolute(step)


def begun_phase(progress: Progress) -> str | None:
    """The phase of a fetch if clients know it and work on it has really begun.

    The process looks for copies and hashes in passing as well, when there is nothing to do.
    """
    phase = progress.get("phase")
    if progress.get("status") != "progress" or phase not in _ANNOUNCED_PHASES:
        return None
    if phase != "fetching" and not progress.get("receivedBytes"):
        return None
    is_over = phase == "verifying" and progress.get("progress") == 1.0
    return None if is_over else str(phase)


def describe(progress: Progress) -> str:
    """One line on where a fetch is: phase, percent, rate, time left."""
    phase = str(progress.get("phase"))
    words = _WORDS.get(phase, phase)
    if phase == "waiting":
        until = progress.get("until")
        clock = time.strftime(" (until %H:%M:%S)", time.localtime(until / 1000)) if until else ""
        return f"{words}: {progress.get('reason') or 'no reason was told'}{clock}"
    share, rate, eta = (progress.get(name) for name in ("progress", "rate", "eta"))
    if share is not None and phase in _ANNOUNCED_PHASES:  # before them nothing is under way
        words += f" {100 * share:.0f}%"
    parts = [words]
    if rate:
        parts.append(f"{rate:.1f} MB/s")
    if eta is not None and phase == "fetching":
        parts.append(f"{duration(eta)} left")
    return " · ".join(parts)


def duration(seconds: float) -> str:
    """A time span in its two largest units."""
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
