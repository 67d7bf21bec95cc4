"""The downloads panel as a person uses it: a real browser, with the real routes and jar behind.

Without a Chromium these tests are skipped, and say so. ``ANYMATIX_TEST_CHROMIUM`` names another.
"""

from __future__ import annotations

import json
import os
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

from browser import Browser, find_chromium
from comfy_stand_in import ComfyUI
from range_server import RangeServer
from support import (
    JAR,
    SHIM,
    InThread,
    ShimTestCase,
    environment,
    part_of_pack,
    random_bytes,
    require_jar,
)
from web_stand_in import WebServer

CHROMIUM = find_chromium()
CONTENT = random_bytes(41, 12_000_000)
BUTTON = "document.getElementById('anymatix-fetcher-button')"
TOKEN = "a-canary-that-no-page-may-show"


@unittest.skipIf(CHROMIUM is None or sys.platform == "win32", "no Chromium was found")
class PanelInBrowserTest(ShimTestCase):
    browser: Browser

    @classmethod
    def setUpClass(cls) -> None:
        require_jar()
        cls.browser = Browser(str(CHROMIUM))
        cls.browser.__enter__()
        cls.addClassCleanup(cls.browser.__exit__, None, None, None)

    def setUp(self) -> None:
        super().setUp()
        self.comfy = ComfyUI(self.folder, {})
        self.models = RangeServer()
        self.web = WebServer(self.comfy, SHIM / "web")
        for used in (self.comfy, self.models, self.web):
            used.__enter__()
            self.addCleanup(used.__exit__, None, None, None)
        self.addCleanup(sys.modules.pop, "_anymatix_fetcher_panel", None)
        self.load_pack()
        self.fetching.sidecar_process = self.sidecar_process(
            jar=JAR, environ=environment(self.folder / "state")
        )

    def open_panel(self, query: str = "") -> None:
        self.browser.open(self.web.url + query)
        self.see(part("summary") + "?.textContent")

    def see(self, condition: str) -> None:
        self.browser.wait_for(condition)

    def do(self, statements: str) -> None:
        self.browser.evaluate(f"(() => {{ {statements} }})()")

    def add(self, url: str) -> None:
        self.see(part("add") + "?.querySelector('option')")
        self.do(
            f"const form = {part('add')}; form.querySelector('input').value = {json.dumps(url)};"
            " form.querySelector('select').value = 'checkpoints'; form.requestSubmit();"
        )

    def press(self, title: str) -> None:
        button = f"{part('queue')}.querySelector('button[title={title}]')"
        self.see(button)
        self.do(f"{button}.click()")

    def picture(self, name: str) -> None:
        """For a person to look at, where ``ANYMATIX_TEST_PICTURES`` names a folder."""
        folder = os.environ.get("ANYMATIX_TEST_PICTURES")
        if folder:
            self.browser.screenshot(Path(folder) / f"{name}.png")

    def stored(self, name: str, folder: str = "checkpoints") -> Path:
        return self.comfy.models_dir / folder / name

    def test_a_download_appears_moves_and_finishes(self) -> None:
        url = self.models.serve("/some.safetensors", CONTENT)
        hold = self.models.hold("/some.safetensors", 5_000_000)
        self.open_panel()
        self.add(url)
        self.see(f"{part('queue')}.innerText.includes('some.safetensors')")
        self.see(f"{part('queue')}.querySelector('progress')?.value > 1_000_000")
        self.see(f"/\\d+ %/.test({part('queue')}.innerText)")
        self.picture("running")
        hold.released.set()
        self.see(f"{part('history')}.innerText.includes('downloaded')")
        self.see(f"{part('queue')}.children.length === 0")
        self.see("app.refreshed > 0")
        self.picture("finished")
        stored = next(self.stored("").glob("some_*.safetensors"))
        self.assertEqual(CONTENT, stored.read_bytes())

    def test_it_is_paused_goes_on_and_is_cancelled(self) -> None:
        url = self.models.serve("/some.safetensors", CONTENT)
        hold = self.models.hold("/some.safetensors", 5_000_000)
        self.open_panel()
        self.add(url)
        self.assertTrue(hold.reached.wait(30))
        self.press("Pause")
        self.see(f"/paused · \\d+ %/.test({part('queue')}.innerText)")
        self.press("Resume")
        self.see(f"!{part('queue')}.innerText.includes('paused')")
        self.press("Cancel")
        self.see(f"{part('queue')}.children.length === 0")
        self.see(f"{part('history')}.innerText.includes('some')")
        self.assertEqual([], list(self.stored("").glob("*.safetensors")))

    def test_a_failure_says_why_and_is_tried_again(self) -> None:
        url = self.models.refuse("/gone.safetensors", 404)
        self.open_panel()
        self.add(url)
        self.see(f"{part('history')}.innerText.includes('404')")
        self.picture("failed")
        self.models.serve("/gone.safetensors", CONTENT)
        self.models.refuse("/gone.safetensors", 200)
        self.see(f"[...{part('history')}.querySelectorAll('button')].some(b => !b.hidden)")
        self.do(f"[...{part('history')}.querySelectorAll('button')].find(b => !b.hidden).click()")
        self.see(f"{part('history')}.innerText.includes('downloaded')")

    def test_the_missing_models_of_the_workflow_are_fetched_under_their_names(self) -> None:
        vae = self.models.serve("/files/x", CONTENT)
        model = {"name": "nice name.safetensors", "url": vae, "directory": "vae"}
        self.open_panel()
        workflow = {"nodes": [{"properties": {"models": [model]}}]}
        self.do(f"app.workflow = {json.dumps(workflow)}")
        self.do(f"[...{part('missing')}.querySelectorAll('button')].at(-1).click()")
        self.see(f"{part('missing')}.innerText.includes('nice name.safetensors')")
        self.picture("missing")
        self.do(f"{part('missing')}.querySelector('button').click()")
        self.see(
            f"{part('missing')}.innerText.includes('All models that this workflow names are there')"
        )
        self.assertEqual(CONTENT, self.stored("nice name.safetensors", "vae").read_bytes())

    def test_a_token_is_entered_and_never_comes_back(self) -> None:
        self.open_panel()
        form = f"{part('tokens')}.querySelector('[data-site=civitai]')"
        self.see(form)
        self.do(f"{part('tokens')}.closest('details').open = true")
        self.do(
            f"{form}.querySelector('input').value = {json.dumps(TOKEN)}; {form}.requestSubmit();"
        )
        self.see(f"{form}?.innerText.includes('Forget')")
        self.picture("tokens")
        self.see(f"{part('tokens')}.innerText.includes('CIVITAI_API_TOKEN')")
        kept = self.browser.evaluate(
            "JSON.stringify([document.documentElement.outerHTML, {...localStorage},"
            " {...sessionStorage}, document.cookie,"
            " [...document.querySelectorAll('input')].map(i => i.value)])"
        )
        self.assertNotIn(TOKEN, kept)
        self.do(f"[...{form}.querySelectorAll('button')].at(-1).click()")
        self.see(f"!{form}?.innerText.includes('Forget')")
        self.assertNotIn(TOKEN, "\n".join(self.logs.texts()))
        for file in self.folder.rglob("*"):
            if file.is_file():
                self.assertNotIn(TOKEN.encode(), file.read_bytes(), file)

    def test_what_the_owner_should_know_is_a_toast_and_stays_in_the_panel(self) -> None:
        self.open_panel()
        notices = part("notices")
        self.assertEqual("", self.browser.evaluate(f"{notices}.innerText"))
        other: Any = ModuleType("other_pack")
        other.__file__ = "/packs/other/nodes.py"
        modules = mock.patch.dict(sys.modules, {other.__name__: other})
        modules.start()
        self.addCleanup(modules.stop)
        namesake = type("AnymatixFetcher", (), {"__module__": other.__name__})
        self.comfy.node_classes["AnymatixFetcher"] = namesake
        hear = "api.dispatchEvent(new Event('anymatix.notices'))"
        self.do(hear)
        self.see(f"{notices}.innerText.includes('/packs/other/nodes.py')")
        self.picture("notice")
        (toast,) = self.browser.evaluate("app.toasts")
        self.assertEqual("warn", toast["severity"])
        self.assertIn("a node AnymatixFetcher too", toast["detail"])
        self.do(f"{notices}.querySelector('button').click()")
        part_of_pack(self.pack, "notices").keep("Another one.")
        self.do(hear)
        self.see(f"{notices}.innerText === 'Another one.'")
        self.open_panel()
        self.see(f"{notices}.innerText.includes('/packs/other/nodes.py')")

    def test_what_a_prompt_downloads_is_shown_and_stops_with_the_prompt(self) -> None:
        url = self.models.serve("/some.safetensors", CONTENT)
        hold = self.models.hold("/some.safetensors", 5_000_000)
        self.open_panel()
        self.comfy.node_classes.update(self.pack.NODE_CLASS_MAPPINGS)
        node = {"class_type": "AnymatixFetch", "inputs": {"url": url, "type": "checkpoint"}}
        prompt = InThread(lambda: self.comfy.run({"1": node}))
        self.see(f"{part('queue')}.querySelector('progress')?.value > 1_000_000")
        self.see(f"{part('queue')}.innerText.includes('for the running prompt')")
        self.assertEqual(
            ["Stop the prompt"],
            self.browser.evaluate(
                f"[...{part('queue')}.querySelectorAll('button')]"
                ".filter(b => !b.hidden).map(b => b.title)"
            ),
        )
        self.do(f"{part('queue')}.querySelector('[title=\"Stop the prompt\"]').click()")
        self.see("api.interrupts === 1")
        hold.released.set()
        self.assertEqual("success", prompt.result().status)
        self.see(f"{part('queue')}.children.length === 0")

    def test_a_comfyui_that_is_gone_is_told_in_words(self) -> None:
        self.open_panel()
        self.do("window.fetch = async () => { throw new TypeError('Failed to fetch'); }")
        self.see(f"{part('problem')}.innerText.includes('ComfyUI does not answer')")

    def test_another_workflow_is_looked_at_by_itself(self) -> None:
        url = self.models.url("/x.safetensors")
        model = {"name": "other.safetensors", "url": url, "directory": "vae"}
        self.open_panel()
        self.see(f"{part('missing')}.innerText.includes('does not say')")
        self.do(
            f"app.workflow = {json.dumps({'models': [model]})}; app.extension.afterConfigureGraph()"
        )
        self.see(f"{part('missing')}.innerText.includes('other.safetensors')")

    def test_markup_in_a_name_is_text(self) -> None:
        model = {
            "name": "<img src=x onerror='window.hacked=1'>.safetensors",
            "url": "https://huggingface.co/a/b/resolve/main/c.safetensors",
            "directory": "vae",
        }
        self.open_panel()
        self.do(f"app.workflow = {json.dumps({'models': [model]})}")
        self.do(f"[...{part('missing')}.querySelectorAll('button')].at(-1).click()")
        self.see(f"{part('missing')}.innerText.includes('<img')")
        self.assertIsNone(self.browser.evaluate("window.hacked"))

    def test_an_old_front_end_gets_a_button_in_its_menu(self) -> None:
        self.browser.open(self.web.url + "?old")
        # The stand-in reads the query of the page, as the module's own address has none.
        self.see(BUTTON)
        self.do(f"{BUTTON}.click()")
        self.see(part("summary") + "?.textContent")
        self.do(f"{BUTTON}.click()")
        self.see("!document.querySelector('.anymatix-fetcher-window')")
        self.assertEqual("Downloads", self.browser.evaluate(f"{BUTTON}.textContent"))
        part_of_pack(self.pack, "notices").keep("Something is wrong.")
        self.do("api.dispatchEvent(new Event('anymatix.notices'))")
        self.see(f"{BUTTON}.textContent === 'Downloads (!)'")
        self.assertEqual("Something is wrong.", self.browser.evaluate(f"{BUTTON}.title"))


def part(name: str) -> str:
    return f"document.querySelector('[data-part={name}]')"


if __name__ == "__main__":
    unittest.main()
