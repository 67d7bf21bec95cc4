"""The module that takes the place of another pack's ``fetch.py``, with the real jar behind it."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import shutil
import sys
import unittest
from pathlib import Path
from typing import Any

from comfy_stand_in import InterruptProcessingException
from support import JAR, ROOT, SHIM, WAIT_SECONDS, InThread
from test_with_the_real_jar import LARGE, SMALL, RealJarTest

VECTORS = json.loads((ROOT / "java/src/test/resources/golden/vectors.json").read_text())

REDACTED = [  # recorded from the version of 2026-08-26 and later
    (
        "https://civitai.com/a?type=Model&token=SECRET",
        "token=SECRET",
        "https://civitai.com/a?type=Model",
    ),
    (
        "https://civitai.com/a?type=Model&token=SECRET",
        None,
        "https://civitai.com/a?type=Model&token=%3Credacted%3E",
    ),
    ("https://h/a", None, "https://h/a"),
    ("https://h/a?key=x", None, "https://h/a?key=x"),
]


def load_fetch(path: Path) -> Any:
    """The module as another pack would import it."""
    spec = importlib.util.spec_from_file_location("fetch_under_test", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class CompatTest(RealJarTest):
    def setUp(self) -> None:
        super().setUp()
        self.fetch = load_fetch(SHIM / "compat" / "fetch.py")
        self.target = self.folder / "elsewhere" / "checkpoints"
        self.calls: list[Any] = []

    def download(self, url: str, **options: Any) -> str:
        path: str = self.fetch.download_file(
            url,
            str(self.target),
            lambda done, total: self.calls.append((done, total)),
            phase=self.calls.append,
            **options,
        )
        return path

    def sidecar_of(self, effective_url: str) -> Any:
        name = self.fetch.hash_string(effective_url) + ".json"
        return json.loads((self.target / name).read_text(encoding="ascii"))

    def test_a_file_lands_in_the_folder_although_it_is_no_model_folder(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        path = self.download(url)
        self.assertEqual(path, f"{self.target}/m_{self.fetch.hash_string(url)}.safetensors")
        self.assertEqual(Path(path).read_bytes(), SMALL)

    def test_the_path_is_joined_to_the_folder_as_the_caller_wrote_it(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        relative = os.path.relpath(self.target)
        self.assertEqual(os.path.dirname(self.fetch.download_file(url, relative)), relative)

    def test_a_folder_among_packs_is_refused(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        for folder in ("custom_nodes", "custom_nodes/some-pack/models"):
            with self.assertRaisesRegex(ValueError, "folder of node packs"):
                self.fetch.download_file(url, str(self.folder / folder))
        self.assertEqual(self.server.requests, [])

    def test_phases_come_before_their_numbers_and_the_last_numbers_are_the_length(self) -> None:
        url = self.server.serve("/l.safetensors", LARGE)
        self.server.slow_down("/l.safetensors", 0.05)
        self.download(url)
        self.assertEqual(self.calls[0], "fetching")
        self.assertEqual(self.calls[-1], (len(LARGE), len(LARGE)))
        numbers = [call for call in self.calls if isinstance(call, tuple)]
        self.assertTrue(all(total == len(LARGE) for _, total in numbers), numbers)

    def test_a_file_that_is_there_costs_no_request_and_no_call(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        first = self.download(url)
        requests = len(self.server.requests)
        self.calls.clear()
        self.assertEqual(self.download(url, expand_info=self.calls.append), first)
        self.assertEqual((self.calls, len(self.server.requests)), ([], requests))

    def test_the_effective_url_names_the_file_and_the_tail_is_not_stored(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL) + "?q=a b"
        tail = "token=SECRET"
        effective = self.fetch._joined(url, tail)
        path = self.download(url, effective_url=effective, redact_append=tail)
        self.assertIn(self.fetch.hash_string(effective), path)
        self.assertEqual(self.sidecar_of(effective)["url"], url)
        self.assertNotIn("SECRET", "".join(self.logs.texts()))

    def test_an_effective_url_without_its_tail_is_taken_as_well(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        for effective in (f"{url}?token=T", f"{url}?a=b%20c"):
            path = self.download(url, effective_url=effective)
            self.assertIn(self.fetch.hash_string(effective), path)

    def test_the_callers_own_metadata_is_stored_where_the_source_has_none(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        info = {"baseModel": "SDXL", "name": "模", "files": []}
        self.download(url, expand_info=lambda asked: {**info, "asked": asked})
        sidecar = self.sidecar_of(url)
        self.assertEqual(sidecar["data"], {**info, "asked": url})
        keys = list(sidecar)
        self.assertEqual(keys[keys.index("name") + 1], "data")
        self.assertEqual([f.suffix for f in self.target.iterdir() if f.suffix == ".tmp"], [])
        self.assertEqual(self.download(url), str(self.target / sidecar["file_name"]))

    def test_adopt_folders_are_named_to_the_process_and_stay_read_only(self) -> None:
        adopt = self.folder / "volume"
        url = self.server.serve("/m.safetensors", SMALL)
        self.download(url, adopt_dirs=[str(adopt)])
        self.assertEqual(self.comfyui.settings()["adoptDirs"], [str(adopt)])
        params = {"url": url, "dir": str(adopt)}
        with self.assertRaisesRegex(self.fetching.RpcError, "outside the model folders"):
            self.fetching.request("fetch", params, lambda progress: None)

    def test_what_a_callback_raises_ends_the_download_and_comes_back(self) -> None:
        url = self.server.serve("/l.safetensors", LARGE)
        self.server.hold("/l.safetensors", 8 * 1024 * 1024)

        class Enough(Exception):
            pass

        enough = Enough()

        def callback(done: int, total: int | None) -> None:
            if done > 1024 * 1024:
                raise enough

        with self.assertRaises(Enough) as raised:
            self.fetch.download_file(url, str(self.target), callback)
        self.assertIs(raised.exception, enough)
        self.assertTrue(list(self.target.glob("*.part")))

    def test_stop_ends_the_download_unchanged(self) -> None:
        url = self.server.serve("/l.safetensors", LARGE)
        hold = self.server.hold("/l.safetensors", 1)
        running = InThread(lambda: self.download(url))
        self.assertTrue(hold.reached.wait(WAIT_SECONDS))
        self.comfy.press_stop()
        with self.assertRaises(InterruptProcessingException):
            running.result()

    def test_an_error_is_a_sentence_with_the_word_that_callers_look_for(self) -> None:
        url = self.server.refuse("/m.safetensors", 403)
        with self.assertRaisesRegex(self.fetch.DownloadError, r"403.*\(forbidden\)$") as failed:
            self.download(url, effective_url=f"{url}?token=SECRET", redact_append="token=SECRET")
        self.assertNotIn("SECRET", str(failed.exception))
        with self.assertRaisesRegex(self.fetch.DownloadError, r"\(not found\)$"):
            self.download(self.server.url("/gone.safetensors"))

    def test_a_full_volume_is_the_systems_own_error(self) -> None:
        error = self.fetching.RpcError(
            {"message": "No space.", "data": {"kind": "diskFull", "volume": "/mnt/models"}}
        )
        with self.assertRaises(OSError) as full:
            self.fetch._raise(self.fetching, error)
        self.assertEqual(
            (full.exception.errno, full.exception.filename), (errno.ENOSPC, "/mnt/models")
        )
        self.assertIn("No space left on device", str(full.exception))

    def test_delete_takes_what_the_url_left_below_the_folder_and_nothing_else(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        other = self.server.serve("/o.safetensors", SMALL[1:])
        self.download(url)
        kept = self.download(other)
        self.assertIsNone(self.fetch.delete_files(url, str(self.target.parent)))
        left = {file.name for file in self.target.iterdir()}
        self.assertEqual(left, {Path(kept).name, self.fetch.hash_string(other) + ".json"})

    def test_a_copy_in_another_pack_finds_the_loaded_pack(self) -> None:
        other_pack = self.folder / "custom_nodes" / "other-pack"
        other_pack.mkdir(parents=True)
        copy = load_fetch(Path(shutil.copy(SHIM / "compat" / "fetch.py", other_pack)))
        self.assertIs(copy._fetching(), self.fetching)

    def test_a_copy_loads_the_pack_beside_it_under_the_name_that_comfyui_gives(self) -> None:
        packs = self.folder / "custom_nodes"
        pack = packs / "anymatix-fetcher"
        pack.mkdir(parents=True)
        for source in SHIM.glob("*.py"):
            shutil.copy(source, pack)
        (pack / "anymatix-fetcher.jar").symlink_to(JAR)
        (packs / "other-pack").mkdir()
        copy = load_fetch(Path(shutil.copy(SHIM / "compat" / "fetch.py", packs / "other-pack")))
        loaded = [name for name in sys.modules if name.endswith(".fetching")]
        saved = {name: sys.modules.pop(name) for name in loaded}
        self.addCleanup(sys.modules.update, saved)
        found = copy._fetching()
        self.addCleanup(found.sidecar_process.close)
        self.assertEqual(found.__name__, str(pack).replace(".", "_x_") + ".fetching")
        self.assertIs(copy._fetching(), found)


class PureFunctionTest(unittest.TestCase):
    def setUp(self) -> None:
        self.fetch = load_fetch(SHIM / "compat" / "fetch.py")

    def test_hashes_are_those_that_stores_were_named_by(self) -> None:
        for vector in VECTORS["effective_url"]:
            with self.subTest(vector=vector):
                self.assertEqual(self.fetch.hash_string(vector["effective"]), vector["url_hash"])

    def test_an_effective_url_and_its_tail_lead_to_the_same_name(self) -> None:
        for vector in VECTORS["effective_url"]:
            with self.subTest(vector=vector):
                if vector["auth"]:
                    self.assertEqual(
                        self.fetch._joined(vector["base"], vector["auth"]), vector["effective"]
                    )
                params = self.fetch._url_and_tail(
                    vector["base"], vector["effective"], vector["auth"]
                )
                if "auth" in params:
                    self.assertEqual(params, {"url": vector["base"], "auth": vector["auth"]})
                else:
                    self.assertEqual(params, {"url": vector["effective"]})

    def test_urls_are_redacted_as_recorded(self) -> None:
        for url, appended, expected in REDACTED:
            with self.subTest(url=url, appended=appended):
                self.assertEqual(self.fetch.redact_url(url, appended), expected)

    def test_credentials_are_masked_in_any_case_and_place(self) -> None:
        cases = {
            "https://h/a?API_KEY=S&x=1": "https://h/a?API_KEY=%3Credacted%3E&x=1",
            "https://h/a?x=1&access_token=S#f": "https://h/a?x=1&access_token=%3Credacted%3E#f",
        }
        for url, expected in cases.items():
            self.assertEqual(self.fetch.redact_url(url), expected)


if __name__ == "__main__":
    unittest.main()
