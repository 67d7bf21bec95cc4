"""What a node shows while it fetches, and how Stop is heard; a script stands in for the process."""

from __future__ import annotations

import json
import os
import sys
import unittest
from typing import Any

from comfy_stand_in import ComfyUI, Message, Run
from support import ShimTestCase, fake_java, part_of_pack

SPEC = {"url": "https://h.example.org/m.safetensors", "type": "checkpoint"}
RESULT = {"path": "/m/m.safetensors", "relativeName": "m.safetensors", "metadata": None}

SAY = """
def say(**message):
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)

for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "fetch":
        for value in json.loads(VALUES):
            params = {"token": message["params"]["progressToken"], "value": value}
            say(method="$/progress", params=params)
        if HANGS:
            continue
    if message["method"] == "$/cancelRequest":
        print("cancelled", file=sys.stderr, flush=True)
        say(id=message["params"]["id"], error={"code": -32800, "message": "cancelled"})
    elif ERROR and message["method"] == "fetch":
        say(id=message["id"], error=json.loads(ERROR))
    elif "id" in message:
        say(id=message["id"], result=json.loads(RESULT))
"""


def progress(phase: str, share: float | None = None, **more: Any) -> dict[str, Any]:
    received = None if share is None else int(share * 1000)
    value = {"phase": phase, "status": "progress", "progress": share, "receivedBytes": received}
    return {"rate": 0.0, "eta": None, **value, **more}


@unittest.skipIf(sys.platform == "win32", "the stand-in Java is a script")
class StatusTestCase(ShimTestCase):
    is_async = True

    def setUp(self) -> None:
        super().setUp()
        self.enter()

    def enter(self, **options: Any) -> None:
        self.comfy = ComfyUI(self.folder, {}, is_async=self.is_async, **options)
        self.comfy.__enter__()
        self.addCleanup(self.comfy.__exit__, None, None, None)
        self.load_pack()
        self.comfy.node_classes.update(self.pack.NODE_CLASS_MAPPINGS)
        # Every value counts here; the pause between two has a test of its own.
        self.status = part_of_pack(self.pack, "status")
        self.status.SHORTEST_PAUSE_SECONDS = 0.0

    def script(
        self,
        *values: dict[str, Any],
        result: dict[str, Any] = RESULT,
        error: dict[str, Any] | None = None,
        hangs: bool = False,
    ) -> None:
        """Has a fetch report these values and end so."""
        constants = (
            f"VALUES = {json.dumps(values)!r}\nRESULT = {json.dumps(result)!r}\n"
            f"ERROR = {(json.dumps(error) if error else '')!r}\nHANGS = {hangs!r}\n"
        )
        count = len(list(self.folder.glob("java-*")))
        java = fake_java(self.folder / f"java-{count}", constants + SAY)
        jar = self.folder / "some.jar"
        jar.write_bytes(b"")
        environ = {**os.environ, "ANYMATIX_JAVA": str(java)}
        self.fetching.sidecar_process = self.sidecar_process(jar=jar, environ=environ)

    def run_node(self, spec: dict[str, str] = SPEC) -> Run:
        return self.comfy.run({"7": {"class_type": "AnymatixFetcher", "inputs": {"url": spec}}})

    def downloads(self) -> list[dict[str, Any]]:
        """The data of the events ``anymatix.download``."""
        return [event["data"] for event in self.comfy.events("anymatix.download")]

    def texts(self) -> list[str]:
        return [data["text"] for data in self.comfy.events("text", "7")]

    def phases(self) -> list[tuple[str, int]]:
        events = self.comfy.events("anymatix.fetch_phase", "7")
        return [(event["phase"], event["value"]) for event in events]


class StatusTest(StatusTestCase):
    def test_progress_is_an_event_and_a_line_with_percent_rate_and_time_left(self) -> None:
        self.script(progress("fetching", 0.45, rate=12.5, eta=3.2))
        self.assertEqual(self.run_node().status, "success")
        event = self.comfy.events("anymatix.download")[0]
        self.assertEqual(event["type"], "download")
        self.assertEqual(
            event["data"], {"status": "progress", "progress": 0.45, "rate": 12.5, "eta": 3.2}
        )
        self.assertEqual((event["node"], event["prompt_id"]), ("7", "prompt-1"))
        self.assertEqual(self.texts()[0], "Downloading 45% · 12.5 MB/s · 3 s left")

    def test_no_percent_is_told_before_there_is_something_to_count(self) -> None:
        self.script(progress("resolving", 0.0))
        self.assertEqual(self.run_node().status, "success")
        self.assertEqual(self.texts()[0], "Asking the source")

    def test_the_end_is_an_event_and_a_line_with_the_name(self) -> None:
        self.script(progress("fetching", 1.0))
        self.run_node()
        self.assertEqual(
            self.downloads()[-1], {"status": "completed", "progress": 1.0, "name": "m.safetensors"}
        )
        self.assertEqual(self.texts()[-1], "Ready: m.safetensors")

    def test_metadata_is_an_event_and_stays_on_the_node_after_the_fetch(self) -> None:
        about = {"status": "metadata", "base_model": "SDXL 1.0", "trained_words": "cat, hat"}
        self.script({**progress("fetching", 0.1), **about}, progress("fetching", 1.0))
        self.run_node()
        self.assertEqual(self.downloads()[0], about)
        self.assertEqual(
            self.texts()[-1],
            "Ready: m.safetensors · base model: SDXL 1.0 · trained words: cat, hat",
        )

    def test_metadata_of_a_model_that_was_there_is_shown_as_well(self) -> None:
        version = {"baseModel": "Flux.1 D", "trainedWords": ["cat", "hat"]}
        self.script(result={**RESULT, "metadata": version})
        self.run_node()
        self.assertEqual([data["status"] for data in self.downloads()], ["metadata", "completed"])
        self.assertIn("base model: Flux.1 D · trained words: cat, hat", self.texts()[-1])

    def test_an_error_is_an_event_and_a_line(self) -> None:
        data = {"kind": "forbidden", "hint": "Ask for access."}
        self.script(error={"code": -32000, "message": "403 for m", "data": data})
        self.assertEqual(self.run_node().status, "execution_error")
        sentence = "Failed to download checkpoint model: 403 for m. Ask for access."
        (event,) = self.downloads()
        self.assertEqual((event["status"], event["kind"]), ("error", "forbidden"))
        self.assertTrue(event["message"].startswith(sentence))
        self.assertEqual(self.texts(), [sentence])

    def test_everything_goes_to_the_prompts_client_alone(self) -> None:
        self.script(progress("fetching", 0.5))
        self.run_node()
        self.assertEqual({message.client_id for message in self.comfy.messages}, {"the-client"})

    def test_without_a_client_nothing_is_sent_to_everybody(self) -> None:
        self.enter(client_id=None)
        self.script(progress("fetching", 0.5))
        self.assertEqual(self.run_node().status, "success")
        self.assertEqual({message.event for message in self.comfy.messages}, {"progress"})

    def test_phases_are_announced_before_the_numbers_that_they_label(self) -> None:
        self.script(
            progress("resolving"),
            progress("fetching", 0.5),
            progress("fetching", 0.9),
            progress("verifying", 0.2),
            progress("adopting", 0.7),
        )
        self.run_node()
        self.assertEqual(self.phases(), [("fetching", 0), ("verifying", 0), ("adopting", 1000)])
        self.assertEqual(self.comfy.progress_of("7"), [0, 500, 900, 0, 200, 1000])
        (event, *_) = self.comfy.events("anymatix.fetch_phase")
        self.assertEqual(
            event,
            {"node": "7", "prompt_id": "prompt-1", "phase": "fetching", "value": 0, "max": 1000},
        )

    def test_no_phase_is_announced_for_a_model_that_is_there(self) -> None:
        self.script(progress("resolving"), progress("adopting", None, receivedBytes=0))
        self.run_node()
        self.assertEqual(self.phases(), [])
        self.assertEqual(self.comfy.progress_of("7"), [0])

    def test_verifying_is_announced_only_if_something_is_hashed(self) -> None:
        self.script(progress("fetching", 1.0), progress("verifying", 1.0))
        self.run_node()
        self.assertEqual(self.phases(), [("fetching", 0)])

    def test_a_pack_of_files_has_a_bar_that_restarts_and_no_phases(self) -> None:
        self.script(progress("fetching", 0.9), progress("fetching", 0.1))
        self.run_node({**SPEC, "type": "chatterbox_model_pack"})
        self.assertEqual(self.phases(), [])
        self.assertEqual(self.comfy.progress_of("7"), [0, 900, 100])

    def test_a_wait_says_why_and_until_when(self) -> None:
        self.script(progress("waiting", reason="Too many requests", until=1_700_000_000_000))
        self.run_node()
        self.assertRegex(self.texts()[0], r"^Waiting: Too many requests \(until \d\d:\d\d:\d\d\)$")

    def test_ten_messages_a_second_at_most(self) -> None:
        self.status.SHORTEST_PAUSE_SECONDS = 3600.0
        self.script(*(progress("fetching", n / 100) for n in range(100)))
        self.run_node()
        statuses = [data["status"] for data in self.downloads()]
        self.assertEqual(statuses, ["progress", "completed"])
        self.assertEqual(len(self.texts()), 2)

    def test_time_spans_are_told_in_two_units(self) -> None:
        cases = {3.4: "3 s", 59.6: "1 min 0 s", 125: "2 min 5 s", 3600 * 25 + 61: "25 h 1 min"}
        for seconds, text in cases.items():
            self.assertEqual(self.status.duration(seconds), text)

    def test_no_token_is_in_any_message(self) -> None:
        data = {"kind": "auth", "url": "https://h/m?token=SECRET"}
        message = "401 for https://h/m?token=SECRET"
        self.script(error={"code": -32000, "message": message, "data": data})
        self.run_node({**SPEC, "auth": "token=SECRET"})
        self.assertNotIn("SECRET", str(self.comfy.messages))


class StatusBeforeAsyncNodesTest(StatusTestCase):
    is_async = False

    def test_node_and_prompt_are_known_without_a_hidden_input(self) -> None:
        self.script(progress("fetching", 0.5))
        self.assertEqual(self.run_node().status, "success")
        self.assertEqual(self.phases(), [("fetching", 0)])
        for node in self.pack.NODE_CLASS_MAPPINGS.values():
            self.assertNotIn("hidden", node.INPUT_TYPES())


class StopTest(StatusTestCase):
    def test_stop_is_heard_in_every_phase_and_cancels_the_request(self) -> None:
        for phase in ("waiting", "resolving", "fetching", "verifying", "adopting"):
            with self.subTest(phase=phase):
                self.logs.records.clear()
                self.script(progress(phase, 0.5), hangs=True)
                self.comfy.on_message = self.stop_at_a_text
                run = self.run_node()
                self.assertEqual(run.status, "execution_interrupted")
                self.logs.wait_for("cancelled")

    def stop_at_a_text(self, message: Message) -> None:
        if message.event == "text":
            self.comfy.press_stop()

    def test_stop_cancels_all_fetches_of_the_prompt(self) -> None:
        self.script(progress("fetching", 0.5), hangs=True)
        shown: set[str] = set()

        def stop_when_all_are_shown(message: Message) -> None:
            if message.event == "text":
                shown.add(message.data["node"])
            if len(shown) == 3:
                self.comfy.press_stop()

        self.comfy.on_message = stop_when_all_are_shown
        prompt = {
            str(n): {"class_type": "AnymatixFetcher", "inputs": {"url": {**SPEC, "url": f"u{n}"}}}
            for n in range(3)
        }
        self.assertEqual(self.comfy.run(prompt).status, "execution_interrupted")
        for _ in range(3):
            self.logs.wait_for("cancelled")
            self.logs.records.remove(self.logs.wait_for("cancelled"))


class StopBeforeAsyncNodesTest(StopTest):
    is_async = False

    @unittest.skip("nodes run one after another there")
    def test_stop_cancels_all_fetches_of_the_prompt(self) -> None: ...


if __name__ == "__main__":
    unittest.main()
