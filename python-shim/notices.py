"""What the owner of this ComfyUI should know although nothing that they asked for has failed.

Each is one sentence. It is kept until ComfyUI ends, for the downloads panel to show. Any thread may
tell one; this knows nothing of ComfyUI.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

MOST_KEPT = 20
"""More than anybody reads; what is told beyond them is in the log only."""

_kept: dict[str, None] = {}
_listeners: list[Callable[[], None]] = []

log = logging.getLogger("AnymatixFetcher")


def tell(sentence: str) -> None:
    """Logs a warning and keeps it."""
    log.warning("%s", sentence)
    keep(sentence)


def keep(sentence: str) -> None:
    """Keeps a sentence, once, and lets the listeners know that there is a new one."""
    if sentence in _kept or len(_kept) >= MOST_KEPT:
        return
    _kept[sentence] = None
    for listener in list(_listeners):
        listener()


def told() -> list[str]:
    """All that is kept, in the order in which it was told."""
    return list(_kept)


def listen(listener: Callable[[], None]) -> None:
    """Has a function called after each new sentence, in the thread that told it."""
    _listeners.append(listener)
