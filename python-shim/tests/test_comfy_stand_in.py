"""The facts about ComfyUI that the other tests lean on, each stated once."""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import sys
import tempfile
import threading
import unittest
from pathlib import Path
from typing import Any, ClassVar

from comfy_stand_in import ComfyUI, InterruptProcessingException


class AnyType(str):
    def __ne__(self, other: object) -> bool:
        return False


class Names:
    """Gives the file name it was told, under several types."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("STRING", "COMBO", "*", AnyType("*"))
    FUNCTION = "run"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"name": ({"name": "STRING"}, {})}}

    def run(self, name: Any) -> tuple[Any, ...]:
        return (name,) * 4


class Scripted:
    """Runs the function and the IS_CHANGED of the test at hand."""

    RETURN_TYPES: ClassVar[tuple[str, ...]] = ("STRING",)
    FUNCTION = "run"
    OUTPUT_NODE = True
    script: ClassVar[Any] = staticmethod(lambda value: (value,))
    is_changed: ClassVar[Any] = staticmethod(lambda value: "same")

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"value": ({}, {})}}

    def run(self, value: Any) -> Any:
        return type(self).script(value)

    @classmethod
    def IS_CHANGED(cls, value: Any) -> Any:
        return cls.is_changed(value)


class ComfyStandInTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.scripted: Any = type("Scripted", (Scripted,), {})
        nodes = {"Names": Names, "Scripted": self.scripted}
        self.comfy = ComfyUI(Path(folder.name), nodes)
        self.comfy.__enter__()
        self.addCleanup(self.comfy.__exit__, None, None, None)

    def store(self, relative: str) -> Path:
        path = self.comfy.models_dir / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"weights")
        return path

    def load(self, output: int, name: Any, loader: str = "CheckpointLoaderSimple") -> Any:
        name_of_input = "lora_name" if loader == "V3LoraLoader" else "ckpt_name"
        return self.comfy.run(
            {
                "1": {"class_type": "Names", "inputs": {"name": name}},
                "2": {"class_type": loader, "inputs": {name_of_input: ["1", output]}},
                "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
            }
        )

    def script(self, value: Any = "v") -> Any:
        return self.comfy.run({"1": {"class_type": "Scripted", "inputs": {"value": value}}})

    def test_an_input_whose_type_is_a_dict_takes_any_value_unchanged(self) -> None:
        for value in ({"url": "u"}, "text", 5, True, None):
            with self.subTest(value=value):
                self.assertEqual(self.script(value).outputs["1"], (value,))

    def test_a_missing_required_input_is_refused(self) -> None:
        run = self.comfy.run({"1": {"class_type": "Scripted", "inputs": {}}})
        self.assertEqual((run.status, run.details["type"]), ("refused", "required_input_missing"))

    def test_a_prompt_without_an_output_node_is_refused(self) -> None:
        run = self.comfy.run({"1": {"class_type": "Names", "inputs": {"name": "x"}}})
        self.assertEqual((run.status, run.details["type"]), ("refused", "prompt_no_outputs"))

    def test_string_combo_and_star_outputs_do_not_connect_to_a_file_list(self) -> None:
        self.store("checkpoints/m.safetensors")
        for output in (0, 1, 2):
            with self.subTest(type=Names.RETURN_TYPES[output]):
                run = self.load(output, "m.safetensors")
                self.assertEqual(run.details.get("type"), "return_type_mismatch")

    def test_a_type_that_never_differs_connects_to_classic_and_v3_lists(self) -> None:
        self.store("checkpoints/m.safetensors")
        self.store("loras/l.safetensors")
        self.assertEqual(self.load(3, "m.safetensors").status, "success")
        self.assertEqual(self.load(3, "l.safetensors", "V3LoraLoader").status, "success")
        self.assertEqual(self.load(0, "l.safetensors", "V3LoraLoader").status, "refused")

    def test_a_loader_takes_relative_names_and_no_absolute_paths(self) -> None:
        path = self.store("checkpoints/sub/m.safetensors")
        self.assertEqual(self.load(3, "sub/m.safetensors").outputs["2"], (b"weights",))
        run = self.load(3, str(path))
        self.assertEqual(run.details["exception_type"], "FileNotFoundError")

    def test_a_literal_name_is_refused_before_the_file_is_there(self) -> None:
        prompt = {
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "m.ckpt"}},
            "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
        }
        self.assertEqual(self.comfy.run(prompt).details["type"], "value_not_in_list")
        self.store("checkpoints/m.ckpt")
        self.assertEqual(self.comfy.run(prompt).status, "success")

    def test_models_folders_do_not_exist_until_somebody_makes_them(self) -> None:
        self.assertFalse(self.comfy.models_dir.exists())
        self.assertEqual(self.comfy.list_models("checkpoints"), [])

    def test_part_files_are_not_listed_as_models(self) -> None:
        self.store("checkpoints/m.safetensors.part")
        self.store("checkpoints/.hidden.safetensors")
        self.assertEqual(self.comfy.list_models("checkpoints"), [".hidden.safetensors"])

    def test_the_first_folder_of_diffusion_models_is_unet(self) -> None:
        first = self.comfy.folder_table["diffusion_models"][0][0]
        self.assertEqual(first, str(self.comfy.models_dir / "unet"))

    def test_an_equal_fingerprint_is_cached_and_another_runs_again(self) -> None:
        self.script()
        self.assertEqual(self.script().cached, ["1"])
        self.scripted.is_changed = staticmethod(lambda value: "other")
        self.assertEqual(self.script().executed, ["1"])

    def test_nan_and_exceptions_in_is_changed_run_the_node_each_time(self) -> None:
        def fail(value: Any) -> Any:
            raise InterruptProcessingException

        logging.getLogger("comfy_stand_in").setLevel(logging.ERROR)
        self.addCleanup(logging.getLogger("comfy_stand_in").setLevel, logging.NOTSET)
        for is_changed in (lambda value: math.nan, fail):
            self.scripted.is_changed = staticmethod(is_changed)
            self.assertEqual(self.script().executed, ["1"])
            self.assertEqual(self.script().executed, ["1"])

    def test_is_changed_gets_a_linked_input_as_none(self) -> None:
        seen: list[Any] = []
        self.scripted.is_changed = staticmethod(seen.append)
        self.comfy.run(
            {
                "1": {"class_type": "Names", "inputs": {"name": "n"}},
                "2": {"class_type": "Scripted", "inputs": {"value": ["1", 3]}},
            }
        )
        self.assertEqual(seen, [None])

    def test_an_exception_in_is_changed_is_a_warning_in_the_log(self) -> None:
        def fail(value: Any) -> Any:
            raise ValueError("broken")

        self.scripted.is_changed = staticmethod(fail)
        with self.assertLogs("comfy_stand_in", "WARNING") as logged:
            self.assertEqual(self.script().status, "success")
        self.assertIn("broken", logged.output[0])

    def test_nan_before_and_a_hash_after_mean_two_executions(self) -> None:
        self.scripted.is_changed = staticmethod(lambda value: math.nan)
        self.assertEqual(self.script().executed, ["1"])
        self.scripted.is_changed = staticmethod(lambda value: "hash")
        self.assertEqual(self.script().executed, ["1"])
        self.assertEqual(self.script().cached, ["1"])

    def test_a_node_that_returns_none_fails_obscurely(self) -> None:
        self.scripted.script = staticmethod(lambda value: None)
        run = self.script()
        self.assertEqual(run.details["exception_message"], "object of type 'NoneType' has no len()")

    def test_the_progress_bar_tells_the_client_and_checks_for_the_interrupt(self) -> None:
        utils: Any = sys.modules["comfy.utils"]

        def show(value: Any) -> tuple[str]:
            bar = utils.ProgressBar(1000)
            bar.update_absolute(0)
            bar.update_absolute(450)
            self.comfy.press_stop()
            bar.update_absolute(900)
            return ("not reached",)

        self.scripted.script = staticmethod(show)
        self.assertEqual(self.script().status, "execution_interrupted")
        self.assertEqual(self.comfy.progress_of("1"), [0, 450])

    def test_reading_the_interrupt_keeps_it_and_throwing_clears_it(self) -> None:
        management: Any = sys.modules["comfy.model_management"]
        self.comfy.press_stop()
        self.assertTrue(management.processing_interrupted())
        self.assertTrue(management.processing_interrupted())
        with self.assertRaises(InterruptProcessingException):
            management.throw_exception_if_processing_interrupted()
        self.assertFalse(management.processing_interrupted())
        management.throw_exception_if_processing_interrupted()

    def test_an_interrupt_wrapped_in_another_exception_is_an_error(self) -> None:
        def wrap(value: Any) -> Any:
            try:
                raise InterruptProcessingException
            except Exception as error:
                raise RuntimeError("wrapped") from error

        self.scripted.script = staticmethod(wrap)
        self.assertEqual(self.script().status, "execution_error")

    def test_an_interrupt_that_nobody_raises_hits_the_next_node(self) -> None:
        def stopped_too_late(value: Any) -> tuple[str]:
            self.comfy.press_stop()
            return ("done",)

        self.scripted.script = staticmethod(stopped_too_late)
        run = self.comfy.run(
            {
                "1": {"class_type": "Scripted", "inputs": {"value": 1}},
                "2": {"class_type": "PreviewAny", "inputs": {"source": ["1", 0]}},
            }
        )
        self.assertEqual((run.status, run.details["node_id"]), ("execution_interrupted", "2"))

    def test_an_error_shows_its_message_and_logs_the_chain_unless_told_not_to(self) -> None:
        def chained(value: Any) -> Any:
            try:
                raise ValueError("the secret cause")
            except ValueError as cause:
                raise RuntimeError("what happened") from (None if value == "hidden" else cause)

        self.scripted.script = staticmethod(chained)
        run = self.script("open")
        self.assertEqual(run.details["exception_message"], "what happened")
        self.assertIn("the secret cause", run.server_log)
        self.assertNotIn("the secret cause", self.script("hidden").server_log)

    def test_an_error_shows_the_inputs_of_the_node_as_text(self) -> None:
        def fail(value: Any) -> Any:
            raise RuntimeError("no")

        self.scripted.script = staticmethod(fail)
        self.assertEqual(
            self.script({"auth": "token=abc"}).details["current_inputs"],
            {"value": "{'auth': 'token=abc'}"},
        )

    def test_an_async_node_leaves_the_loop_to_others_and_a_sync_one_does_not(self) -> None:
        order: list[str] = []

        async def meet(value: Any) -> tuple[str]:
            order.append(f"{value} begins")
            for _ in range(3):  # a turn for each of the others
                await asyncio.sleep(0)
            order.append(f"{value} ends")
            return ("done",)

        class Awaited(Scripted):
            async def run(self, value: Any) -> Any:
                return await meet(value)

        class Sync(Scripted):
            def run(self, value: Any) -> Any:
                order.extend([f"{value} begins", f"{value} ends"])
                return ("done",)

        for node_class in (Awaited, Sync):
            order.clear()
            self.comfy.node_classes["Scripted"] = node_class
            self.comfy.run(self.two_nodes())
            together = node_class is Awaited
            self.assertEqual(order[:2] == ["a begins", "b begins"], together, order)

    def two_nodes(self) -> Any:
        return {
            "1": {"class_type": "Scripted", "inputs": {"value": "a"}},
            "2": {"class_type": "Scripted", "inputs": {"value": "b"}},
        }

    def test_the_failure_of_one_async_node_cancels_those_that_wait(self) -> None:
        cancelled: list[str] = []

        class Awaited(Scripted):
            async def run(self, value: Any) -> Any:
                try:
                    await asyncio.sleep(0 if value == "a" else 3600)
                except asyncio.CancelledError:
                    cancelled.append(value)
                    raise
                raise InterruptProcessingException

        self.comfy.node_classes["Scripted"] = Awaited
        run = self.comfy.run(self.two_nodes())
        self.assertEqual((run.status, run.details["node_id"]), ("execution_interrupted", "1"))
        self.assertEqual(cancelled, ["b"])

    def test_a_running_node_can_ask_for_its_id_and_a_thread_of_its_own_can_not(self) -> None:
        utils: Any = sys.modules["comfy_execution.utils"]
        told: list[Any] = []

        def ask(value: Any) -> tuple[str]:
            told.append(utils.get_executing_context().node_id)
            thread = threading.Thread(target=lambda: told.append(utils.get_executing_context()))
            thread.start()
            thread.join()
            return ("done",)

        self.scripted.script = staticmethod(ask)
        self.script()
        self.assertEqual(told, ["1", None])
        self.assertIsNone(utils.get_executing_context())

    def test_equal_nodes_run_once_unless_they_ask_for_their_id(self) -> None:
        prompt = self.two_nodes()
        prompt["2"]["inputs"]["value"] = "a"
        self.assertEqual(self.comfy.run(prompt).executed, ["1"])
        hidden = {"required": {"value": ({}, {})}, "hidden": {"value_id": "UNIQUE_ID"}}
        self.scripted.INPUT_TYPES = classmethod(lambda cls: hidden)
        self.scripted.IS_CHANGED = classmethod(lambda cls, value, value_id: "same")
        self.scripted.run = lambda node, value, value_id: (value,)
        self.assertEqual(self.comfy.run(prompt).executed, ["1", "2"])

    def test_an_executor_that_awaits_nodes_is_a_coroutine_function(self) -> None:
        execution: Any = sys.modules["execution"]
        self.assertTrue(inspect.iscoroutinefunction(execution.execute))
        self.assertIn("comfy_execution.utils", sys.modules)
        with ComfyUI(self.comfy.base, {}, is_async=False):
            execution = sys.modules["execution"]
            self.assertFalse(inspect.iscoroutinefunction(execution.execute))

    def test_the_server_names_client_prompt_and_before_async_nodes_the_node(self) -> None:
        server: Any = sys.modules["server"]
        seen: list[Any] = []

        def look(value: Any) -> tuple[str]:
            instance = server.PromptServer.instance
            seen.append((instance.client_id, instance.last_prompt_id, instance.last_node_id))
            return ("done",)

        self.scripted.script = staticmethod(look)
        self.script()
        self.script("other")
        self.assertEqual(seen, [("the-client", "prompt-1", "1"), ("the-client", "prompt-2", "1")])

    def test_texts_and_events_reach_the_client_that_is_named(self) -> None:
        server: Any = sys.modules["server"]
        instance = server.PromptServer.instance
        instance.send_progress_text("45%", "7", "a-client")
        instance.send_sync("some.event", {"node": "7"})
        self.assertEqual(
            [tuple(message) for message in self.comfy.messages],
            [
                ("text", {"node": "7", "text": "45%"}, "a-client"),
                ("some.event", {"node": "7"}, None),
            ],
        )

    def test_leaving_takes_the_modules_away_again(self) -> None:
        self.comfy.__exit__(None, None, None)
        self.assertNotIn("folder_paths", sys.modules)
        self.comfy.__enter__()
        self.assertIn("folder_paths", sys.modules)


if __name__ == "__main__":
    unittest.main()
