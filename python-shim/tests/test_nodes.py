"""What the nodes declare, what they take, and what they hand to the sidecar process."""

from __future__ import annotations

import json
import math
import os
import sys
import time
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

from comfy_stand_in import ComfyUI
from support import ANSWER_EVERYTHING, ShimTestCase, fake_java, part_of_pack

CHECKPOINT = {"url": "https://h.example.org/m.safetensors", "type": "checkpoint"}


class DeclarationTest(ShimTestCase):
    def test_the_mappings_name_the_nodes(self) -> None:
        self.assertEqual(
            self.pack.NODE_DISPLAY_NAME_MAPPINGS["AnymatixFetcher"], "Anymatix Fetcher"
        )
        self.assertEqual(
            set(self.pack.NODE_CLASS_MAPPINGS),
            {"AnymatixFetch", "AnymatixFetcher", "AnymatixCheckpointFetcher"},
        )
        self.assertEqual(
            set(self.pack.NODE_DISPLAY_NAME_MAPPINGS), set(self.pack.NODE_CLASS_MAPPINGS)
        )

    def test_the_declarations_are_those_that_workflows_expect(self) -> None:
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"]
        self.assertEqual(
            node.INPUT_TYPES(),
            {"required": {"url": ({"url": "STRING", "type": "STRING", "auth": "STRING"}, {})}},
        )
        self.assertEqual(node.FUNCTION, "download_model")
        self.assertEqual(node.CATEGORY, "Anymatix")
        self.assertTrue(node.OUTPUT_NODE)
        self.assertFalse(hasattr(node, "DEPRECATED"))

    def test_the_checkpoint_node_is_deprecated_and_gives_the_same(self) -> None:
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixCheckpointFetcher"]
        fetcher = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"]
        self.assertEqual(
            node.INPUT_TYPES(),
            {"required": {"url": ("STRING", {})}, "optional": {"auth": ("STRING", {})}},
        )
        self.assertTrue(node.DEPRECATED)
        for name in ("RETURN_TYPES", "RETURN_NAMES", "FUNCTION", "CATEGORY", "OUTPUT_NODE"):
            self.assertEqual(getattr(node, name), getattr(fetcher, name))

    def test_the_first_output_is_a_string_and_the_second_connects_to_anything(self) -> None:
        path, name = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"].RETURN_TYPES
        self.assertEqual(path, "STRING")
        for declared in (["a.safetensors"], "COMBO", "STRING", "*"):
            self.assertFalse(name != declared, declared)
        self.assertEqual(json.dumps(name), '"*"')


@unittest.skipIf(sys.platform == "win32", "the stand-in Java is a script")
class InputTest(ShimTestCase):
    """The sidecar process answers every request with the request itself."""

    def setUp(self) -> None:
        super().setUp()
        self.java_count = 0
        self.start_with(ANSWER_EVERYTHING)

    def start_with(self, body: str) -> None:
        """Has the nodes use a process whose Java runs these Python statements."""
        self.java_count += 1
        java = fake_java(self.folder / f"java-{self.java_count}", body)
        jar = self.folder / "some.jar"
        jar.write_bytes(b"")
        environ = {**os.environ, "ANYMATIX_JAVA": str(java)}
        self.fetching.sidecar_process = self.sidecar_process(jar=jar, environ=environ)

    def params_of(self, spec: Any) -> dict[str, str]:
        params: dict[str, str] = self.nodes._fetch_params(spec)
        return params

    def complaint_about(self, spec: Any) -> str:
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"]
        with self.assertRaises(self.nodes.FetchError) as failed:
            node().download_model(spec)
        self.assertTrue(math.isnan(node.IS_CHANGED(spec)))
        self.assertIsNone(self.fetching.sidecar_process.pid, "a process was started for nothing")
        return str(failed.exception)

    def test_url_type_auth_sha256_and_name_are_passed_on_and_nothing_else(self) -> None:
        full = {**CHECKPOINT, "auth": "token=t", "sha256": "00", "name": "m.safetensors"}
        self.assertEqual(self.params_of({**full, "dir": "/etc", "connections": 99}), full)

    def test_empty_and_null_options_are_left_out(self) -> None:
        spec = {**CHECKPOINT, "auth": "", "sha256": None, "name": ""}
        self.assertEqual(self.params_of(spec), CHECKPOINT)

    def test_the_url_is_passed_on_byte_for_byte(self) -> None:
        url = "  https://h/a%20b?x=1&&y#é"
        self.assertEqual(self.params_of({"url": url, "type": "lora"})["url"], url)

    def test_what_is_no_object_is_told_in_a_sentence(self) -> None:
        for value, kind in ((None, "nothing"), ("https://h/m", "type str"), ([1], "type list")):
            with self.subTest(value=value):
                message = self.complaint_about(value)
                self.assertIn("needs an object as its input", message)
                self.assertIn(kind, message)

    def test_a_missing_or_ill_typed_field_is_named(self) -> None:
        cases = {
            "has no `url`": {"type": "vae"},
            "has no `type`": {"url": "https://h/m", "type": ""},
            "`url` in the input of Anymatix Fetcher must be a text": {"url": 5, "type": "vae"},
            "`auth` in the input of Anymatix Fetcher must be a text": {**CHECKPOINT, "auth": ["x"]},
        }
        for part, spec in cases.items():
            with self.subTest(spec=spec):
                self.assertIn(part, self.complaint_about(spec))

    def test_is_changed_sends_what_names_the_file_and_nothing_else(self) -> None:
        self.start_with(
            """
            for line in sys.stdin:
                message = json.loads(line)
                result = {"fingerprint": json.dumps(message["params"])}
                print(json.dumps({"id": message["id"], "result": result}), flush=True)
            """
        )
        spec = {**CHECKPOINT, "auth": "token=t", "sha256": "00", "name": "m"}
        sent = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"].IS_CHANGED(spec)
        self.assertEqual(json.loads(sent), {**CHECKPOINT, "auth": "token=t"})

    def test_is_changed_gives_up_in_time_and_never_raises(self) -> None:
        self.start_with("sys.stdin.read()")
        self.fetching.IS_CHANGED_SECONDS = 0.2
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"]
        self.assertTrue(math.isnan(node.IS_CHANGED(CHECKPOINT)))

    def test_is_changed_hears_stop_and_leaves_the_flag_to_the_node(self) -> None:
        self.start_with("sys.stdin.read()")
        with ComfyUI(self.folder, {}) as comfy:
            comfy.press_stop()
            node = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"]
            began = time.monotonic()
            self.assertTrue(math.isnan(node.IS_CHANGED(CHECKPOINT)))
            self.assertLess(time.monotonic() - began, self.fetching.IS_CHANGED_SECONDS / 2)
            self.assertTrue(self.comfyui.is_interrupted())

    def test_a_null_fingerprint_is_nan(self) -> None:
        self.start_with(
            """
            for line in sys.stdin:
                message = json.loads(line)
                result = {"fingerprint": None}
                print(json.dumps({"id": message["id"], "result": result}), flush=True)
            """
        )
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixCheckpointFetcher"]
        self.assertTrue(math.isnan(node.IS_CHANGED("https://h/m")))

    def test_progress_is_rounded_half_to_even_capped_and_shown_when_it_changes(self) -> None:
        self.start_with(
            """
            for line in sys.stdin:
                message = json.loads(line)
                if message["method"] == "fetch":
                    for share in (None, 0.0, 0.0005, 0.0015, 0.0025, 0.45, 0.4501, 1.0, 1.35):
                        value = {"phase": "fetching", "status": "progress", "progress": share}
                        params = {"token": message["params"]["progressToken"], "value": value}
                        print(json.dumps({"method": "$/progress", "params": params}))
                result = {"path": "/m", "relativeName": "m"}
                print(json.dumps({"id": message["id"], "result": result}), flush=True)
            """
        )
        with ComfyUI(self.folder, self.pack.NODE_CLASS_MAPPINGS) as comfy:
            prompt = {"1": {"class_type": "AnymatixFetcher", "inputs": {"url": CHECKPOINT}}}
            self.assertEqual(comfy.run(prompt).outputs["1"], ("/m", "m"))
            self.assertEqual(comfy.progress_of("1"), [0, 2, 450, 1000])

    def answer_with_name(self, path: str, name: str) -> None:
        self.start_with(
            f"""
            for line in sys.stdin:
                message = json.loads(line)
                result = {{"path": {path!r}, "relativeName": {name!r}, "fingerprint": "f"}}
                print(json.dumps({{"id": message["id"], "result": result}}), flush=True)
            """
        )

    def test_a_pack_of_files_and_an_annotator_file_are_told_by_name(self) -> None:
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"]
        cases = {
            "chatterbox_model_pack": ("/m/tts/x/the_voice", "the_voice"),
            "chatterbox_multilingual_pack": ("/m/x/multi", "multi"),
            "dwpose_aux": ("/m/annotator_ckpts/sub/yolox_l.onnx", "yolox_l.onnx"),
            "hed": ("/m/annotator_ckpts/hed.pth", "hed.pth"),
            "depth_anything_v2_checkpoint": ("/m/annotator_ckpts/o/r/d.pth", "d.pth"),
        }
        for kind, (path, name) in cases.items():
            with self.subTest(type=kind):
                self.answer_with_name(path, name)
                spec = {"url": "https://h/m", "type": kind}
                self.assertEqual(node().download_model(spec), (name, name))
                self.assertEqual(node.IS_CHANGED(spec), "f")

    def test_the_annotators_folder_is_told_to_the_pack_that_loads_from_it(self) -> None:
        variable = self.fetching.ANNOTATOR_VARIABLE
        saved = os.environ.pop(variable, None)
        self.addCleanup(lambda: os.environ.pop(variable, None))
        if saved is not None:
            self.addCleanup(os.environ.__setitem__, variable, saved)
        self.answer_with_name("/m/hed.pth", "hed.pth")
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"]
        with ComfyUI(self.folder, {}) as comfy:
            for word in (str(comfy.models_dir / "annotator_ckpts"), "/the/owners/word"):
                node().download_model({"url": "https://h/m", "type": "hed"})
                self.assertEqual(os.environ[variable], word)
                os.environ[variable] = "/the/owners/word"

    def test_a_token_inside_a_link_is_warned_of_as_well(self) -> None:
        self.answer_with_name("/m/m", "m")
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetch"]()
        node.fetch("https://h/m?size=1#token=x", "vae")
        self.assertEqual([text for text in self.logs.texts() if "access token" in text], [])
        node.fetch("https://h/m?API_KEY=SECRET", "vae")
        self.assertNotIn("SECRET", self.logs.wait_for("access token").getMessage())

    def test_widgets_lose_the_space_around_a_pasted_text_and_nothing_else(self) -> None:
        params = self.nodes._widget_params(" https://h/a b\n", "vae", " 00 ", "")
        self.assertEqual(params, {"url": "https://h/a b", "type": "vae", "sha256": "00"})
        with self.assertRaisesRegex(self.nodes.FetchError, "paste the link"):
            self.nodes._widget_params("  ", "vae", "", "")

    def test_is_changed_of_a_linked_url_is_nan(self) -> None:
        # ComfyUI gives None for an input that comes from another node.
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetch"]
        self.assertTrue(math.isnan(node.IS_CHANGED(None, "vae")))

    def test_it_works_without_comfyui(self) -> None:
        self.start_with(
            """
            for line in sys.stdin:
                message = json.loads(line)
                result = {"path": "/m", "relativeName": "m"}
                print(json.dumps({"id": message["id"], "result": result}), flush=True)
            """
        )
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"]()
        self.assertEqual(node.download_model(CHECKPOINT), ("/m", "m"))

    def test_a_token_in_the_workflow_works_and_is_warned_of_once(self) -> None:
        self.start_with(
            """
            for line in sys.stdin:
                message = json.loads(line)
                result = {"path": message["params"].get("auth", "none"), "relativeName": "m"}
                print(json.dumps({"id": message["id"], "result": result}), flush=True)
            """
        )
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"]()
        for _ in range(2):
            path, _name = node.download_model({**CHECKPOINT, "auth": "token=SECRET"})
            self.assertEqual(path, "token=SECRET")
        warnings = [text for text in self.logs.texts() if "access token" in text]
        self.assertEqual(len(warnings), 1)
        self.assertIn("HF_TOKEN", warnings[0])
        self.assertEqual(part_of_pack(self.pack, "notices").told(), warnings)
        self.assertNotIn("SECRET", "".join(self.logs.texts()))

    def answer_with_error(self, **error: Any) -> None:
        self.start_with(
            f"""
            error = {error!r}
            for line in sys.stdin:
                message = json.loads(line)
                answer = {{"id": message["id"]}}
                if message["method"] == "fetch":
                    answer["error"] = error
                else:
                    answer["result"] = {{}}
                print(json.dumps(answer), flush=True)
            """
        )

    def error_of(self, spec: Any) -> Any:
        with self.assertRaises(self.nodes.FetchError) as failed:
            self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"]().download_model(spec)
        error = failed.exception
        self.assertTrue(error.__suppress_context__)
        self.assertIsNone(error.__cause__)
        return error

    def test_an_error_is_the_sentence_the_hint_and_the_url(self) -> None:
        data = {"kind": "forbidden", "hint": "Ask for access.", "url": "https://h/m?token=***"}
        self.answer_with_error(code=-32000, message="The server answered 403 for m", data=data)
        self.assertEqual(
            str(self.error_of({**CHECKPOINT, "auth": "token=SECRET"})),
            "Failed to download checkpoint model: The server answered 403 for m. Ask for access.\n"
            "URL: https://h/m?token=***",
        )

    def test_a_url_that_the_process_does_not_tell_is_redacted_here(self) -> None:
        self.answer_with_error(code=-32602, message="unknown type: nonsense")
        error = self.error_of({"url": "https://h/m?api_key=SECRET", "type": "nonsense"})
        self.assertEqual(
            str(error),
            "Failed to download nonsense model: unknown type: nonsense.\n"
            "URL: https://h/m?api_key=***",
        )

    def test_a_full_disk_carries_the_marker_with_the_volume(self) -> None:
        data = {"kind": "diskFull", "hint": "Free space.", "volume": "/mnt/models"}
        self.answer_with_error(code=-32000, message="No space left.", data=data)
        self.assertEqual(
            str(self.error_of(CHECKPOINT)),
            "Failed to download checkpoint model: No space left. Free space.\n"
            "[ANYMATIX_STORAGE_FULL:/mnt/models]\n"
            "URL: https://h.example.org/m.safetensors",
        )

    def test_a_full_disk_without_a_volume_names_the_folder_of_the_type(self) -> None:
        self.answer_with_error(code=-32000, message="No space left.", data={"kind": "diskFull"})
        with ComfyUI(self.folder, {}) as comfy:
            for kind, folder in (("vae", comfy.models_dir / "vae"), ("lora", comfy.models_dir)):
                message = str(self.error_of({"url": "https://h/m", "type": kind}))
                self.assertIn(f"\n[ANYMATIX_STORAGE_FULL:{folder}]\n", message)


class OfferedTypesTest(ShimTestCase):
    def test_the_types_of_old_come_first_then_what_else_comfyui_has(self) -> None:
        with ComfyUI(self.folder, {}) as comfy:
            comfy.folder_table["my_models"] = ([str(self.folder / "mine")], set())
            types = self.nodes.offered_types()
        self.assertEqual(types[0], "checkpoint")
        self.assertEqual(types[-1], "my_models")
        self.assertEqual(len(types), len(set(types)))
        self.assertLessEqual(
            {"chatterbox_model_pack", "dwpose_aux", "SEEDVR2_vae_model"}, set(types)
        )
        self.assertTrue({"custom_nodes", "configs", "checkpoints"}.isdisjoint(types))

    def test_there_are_types_without_comfyui(self) -> None:
        self.assertIn("lora", self.nodes.offered_types())


class NamesakeTest(ShimTestCase):
    """Two packs with a node of the same name: ComfyUI uses the later one and says nothing."""

    def other_pack(self, file: Path) -> type[Any]:
        module: Any = ModuleType(f"other.{file.parent.name}")
        module.__file__ = str(file)
        sys.modules[module.__name__] = module
        self.addCleanup(sys.modules.pop, module.__name__)
        return type("Namesake", (), {"__module__": module.__name__})

    def warnings(self) -> list[str]:
        return [text for text in self.logs.texts() if "loaded last" in text]

    def test_a_pack_that_was_loaded_before_is_named_when_ours_is_loaded(self) -> None:
        other = self.other_pack(Path("/packs/old-fetcher/nodes.py"))
        with ComfyUI(self.folder, {"AnymatixFetcher": other}):
            self.load_pack()
        (warning,) = self.warnings()
        self.assertIn("(/packs/old-fetcher/nodes.py) has a node AnymatixFetcher too", warning)

    def test_a_pack_that_is_loaded_later_is_named_once_when_a_node_runs(self) -> None:
        with ComfyUI(self.folder, {}) as comfy:
            self.load_pack()
            comfy.node_classes.update(self.pack.NODE_CLASS_MAPPINGS)
            self.assertEqual(self.warnings(), [])
            comfy.node_classes["AnymatixFetcher"] = self.other_pack(Path("/packs/later/nodes.py"))
            prompt = {"1": {"class_type": "AnymatixFetch", "inputs": {"url": " ", "type": "vae"}}}
            for _ in range(2):
                self.assertEqual(comfy.run(prompt).status, "execution_error")
        self.assertEqual(len(self.warnings()), 1)

    def test_a_second_copy_of_the_pack_is_one_sentence(self) -> None:
        copy = self.other_pack(Path("/ComfyUI/custom_nodes/a copy/nodes.py"))
        with ComfyUI(self.folder, dict.fromkeys(self.pack.NODE_CLASS_MAPPINGS, copy)):
            self.load_pack()
        (warning,) = self.warnings()
        names = "nodes AnymatixFetch, AnymatixFetcher and AnymatixCheckpointFetcher too"
        self.assertIn(f"(a copy) has {names}", warning)

    def test_a_reload_of_this_pack_is_no_other_pack(self) -> None:
        with ComfyUI(self.folder, self.pack.NODE_CLASS_MAPPINGS):
            self.load_pack()
        self.assertEqual(self.warnings(), [])


class CheckpointUrlTest(ShimTestCase):
    """Store contract, section 1.1: how this node has always made its effective url."""

    def params(self, url: str, auth: str | None = None) -> tuple[str, str]:
        params = self.nodes._checkpoint_params(url, auth)
        self.assertEqual(params["type"], "checkpoint")
        return params["url"], params.get("auth", "")

    def test_token_pairs_move_to_the_tail_and_the_rest_is_encoded_again(self) -> None:
        cases = {
            "https://h/a": ("https://h/a", ""),
            "https://h/a?x=1&token=T&y=2": ("https://h/a?x=1&y=2", "token=T"),
            "https://h/a?token=T": ("https://h/a", "token=T"),
            "https://h/a?token=T&token=U+V": ("https://h/a", "token=T&token=U+V"),
            "https://h/a?Token=T": ("https://h/a?Token=T", ""),
            "https://h/a?token": ("https://h/a", "token="),
        }
        for url, expected in cases.items():
            with self.subTest(url=url):
                self.assertEqual(self.params(url), expected)

    def test_the_query_is_encoded_again_also_where_there_is_no_token(self) -> None:
        cases = {
            "https://h/a?q=a b%20c&r=%7E~*&flag": "https://h/a?q=a+b+c&r=~~%2A&flag=",
            "https://h/a?x=a%20b": "https://h/a?x=a+b",
            "https://h/a?x=1&x=2&&y": "https://h/a?x=1&x=2&y=",
            "https://h/a?x=%ff": "https://h/a?x=%EF%BF%BD",
            "https://h/a?x=a;b=c": "https://h/a?x=a%3Bb%3Dc",
            "https://h/a?x=-._~!*'()": "https://h/a?x=-._~%21%2A%27%28%29",
            "https://h/a;p=1?x=1#frag": "https://h/a;p=1?x=1#frag",
            "HTTPS://H.Example.org:443/a": "https://H.Example.org:443/a",
            "https://h?": "https://h",
            "https://u:p@h/a b": "https://u:p@h/a b",
            "  https://h/a\t\n?x=1": "https://h/a?x=1",
        }
        for url, expected in cases.items():
            with self.subTest(url=url):
                self.assertEqual(self.params(url), (expected, ""))

    def test_auth_follows_the_tokens_of_the_url(self) -> None:
        self.assertEqual(self.params("https://h/a", "token=A"), ("https://h/a", "token=A"))
        self.assertEqual(
            self.params("https://h/a?token=U", "token=A"), ("https://h/a", "token=U&token=A")
        )
        self.assertEqual(self.params("https://h/a", ""), ("https://h/a", ""))

    def test_what_is_no_url_is_left_to_the_process(self) -> None:
        self.assertEqual(self.params("https://[bad/a?token=T"), ("https://[bad/a?token=T", ""))

    def test_a_missing_or_ill_typed_value_is_told_in_a_sentence(self) -> None:
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixCheckpointFetcher"]()
        with self.assertRaisesRegex(self.nodes.FetchError, "has no `url`"):
            node.download_model("")
        with self.assertRaisesRegex(self.nodes.FetchError, "`auth` .* must be a text"):
            node.download_model("https://h/m", {"token": "T"})


class FolderTableTest(ShimTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.comfy = ComfyUI(self.folder, {})
        self.comfy.__enter__()
        self.addCleanup(self.comfy.__exit__, None, None, None)

    def folders(self) -> dict[str, list[str]]:
        folders: dict[str, list[str]] = self.comfyui.settings()["folders"]
        return folders

    def register(self, key: str, *paths: Path) -> None:
        self.comfy.folder_table[key] = ([str(path) for path in paths], set())

    def test_the_table_is_sent_in_order_without_packs_and_configs(self) -> None:
        models = self.comfy.models_dir
        self.assertEqual(
            self.folders(),
            {
                "checkpoints": [str(models / "checkpoints")],
                "loras": [str(models / "loras")],
                "vae": [str(models / "vae")],
                "text_encoders": [str(models / "text_encoders"), str(models / "clip")],
                "diffusion_models": [str(models / "unet"), str(models / "diffusion_models")],
            },
        )
        self.assertEqual(self.comfyui.settings()["modelsDir"], str(models))

    def test_a_folder_in_or_above_a_pack_folder_is_left_out(self) -> None:
        packs = self.folder / "custom_nodes"
        (packs / "some-pack").mkdir(parents=True)
        good = self.folder / "extra"
        self.register("extra", self.folder, packs, packs / "some-pack" / "models", good)
        self.assertEqual(self.folders()["extra"], [str(good)])

    def test_a_pack_folder_of_another_name_counts_as_well(self) -> None:
        self.register("custom_nodes", self.folder / "packs")
        self.register("mine", self.folder / "packs" / "mine", self.folder / "packs-models")
        self.assertEqual(self.folders()["mine"], [str(self.folder / "packs-models")])

    def test_a_link_into_a_pack_folder_is_left_out(self) -> None:
        inside = self.folder / "custom_nodes" / "pack"
        inside.mkdir(parents=True)
        link = self.folder / "innocent"
        link.symlink_to(inside)
        self.register("linked", link)
        self.assertNotIn("linked", self.folders())

    def test_relative_folders_become_absolute_and_doubles_one(self) -> None:
        self.comfy.folder_table["relative"] = (["some/models", "./some/models"], set())
        self.assertEqual(self.folders()["relative"], [os.path.abspath("some/models")])

    def test_a_models_folder_among_packs_is_not_sent(self) -> None:
        folder_paths: Any = sys.modules["folder_paths"]
        folder_paths.models_dir = str(self.folder / "custom_nodes" / "models")
        self.assertNotIn("modelsDir", self.comfyui.settings())

    def test_a_folder_registered_later_is_in_the_next_table(self) -> None:
        before = self.comfyui.settings()
        self.assertEqual(before, self.comfyui.settings())
        self.register("late", self.folder / "late")
        self.assertEqual(self.folders()["late"], [str(self.folder / "late")])
        self.assertNotEqual(before, self.comfyui.settings())


if __name__ == "__main__":
    unittest.main()
