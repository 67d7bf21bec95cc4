"""AnymatixFetcher for ComfyUI: nodes that bring a model file to disk and hand its name to a loader.

Importing the pack defines the nodes, and tells ComfyUI's web server of the downloads panel and its
routes, and does nothing else: no process is started, no file is read.
"""

from . import panel
from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]

WEB_DIRECTORY = "./web"

panel.register()
