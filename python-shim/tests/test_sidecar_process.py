"""The life of the sidecar process: start, failures to start, death, silence, logs, end.

Scripts in Java's place misbehave as a JVM may; what a JVM does when all is well is asked of the
real jar, in ``test_with_the_real_jar``.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import textwrap
import threading
import time
import unittest
from typing import Any

from support import (
    ANSWER_EVERYTHING,
    WAIT_SECONDS,
    InThread,
    ShimTestCase,
    await_exit,
    fake_java,
    part_of_pack,
)

SETTINGS: dict[str, Any] = {"modelsDir": "/models", "folders": {}}

ANSWER_ONCE_THEN = """
message = json.loads(sys.stdin.readline())
print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}}), flush=True)
sys.stdin.readline()
"""
"""A fake Java that answers ``initialize``, takes one more request, and goes on as appended."""

HANG = "\nsys.stdin.read()"
"""A fake Java that says nothing until its input ends."""


def never_stop(progress: Any) -> None:
    pass


@unittest.skipIf(sys.platform == "win32", "the stand-in Javas are scripts")
class SidecarProcessTest(ShimTestCase):
    def process(self, body: str = ANSWER_EVERYTHING, **options: Any) -> Any:
        """A sidecar process whose Java runs these Python statements."""
        java = fake_java(self.folder / "java", body)
        jar = self.folder / "some.jar"
        jar.write_bytes(b"")
        environ = {"ANYMATIX_JAVA": str(java), "PATH": os.environ["PATH"]}
        return self.sidecar_process(jar=jar, environ=environ, **options)

    def ask(self, process: Any, method: str = "fetch", on_update: Any = never_stop) -> Any:
        return process.request(method, {"url": "u"}, settings=lambda: SETTINGS, on_update=on_update)

    def failure(self, process: Any) -> str:
        with self.assertRaises(self.sidecar.SidecarError) as failed:
            self.ask(process)
        message = str(failed.exception)
        self.assertTrue(message.endswith("."), message)
        self.assertNotIn("\n", message)
        return message

    def test_nothing_is_started_before_the_first_request(self) -> None:
        process = self.process()
        self.assertIsNone(process.pid)
        self.ask(process)
        self.assertIsNotNone(process.pid)

    def test_the_command_line_is_fixed_and_holds_no_secret(self) -> None:
        body = """
            for line in sys.stdin:
                message = json.loads(line)
                result = sys.argv[1:]
                print(json.dumps({"id": message["id"], "result": result}), flush=True)
            """
        process = self.process(body)
        arguments = process.request(
            "fetch", {"auth": "token=SECRET"}, settings=lambda: SETTINGS, on_update=never_stop
        )
        jar = str(self.folder / "some.jar")
        launch = part_of_pack(self.pack, "launch")
        self.assertEqual(arguments, [*launch.JVM_FLAGS, "-jar", jar, "serve"])

    def test_a_fetch_is_a_json_rpc_request_with_its_own_progress_token(self) -> None:
        sent = self.ask(self.process())
        self.assertEqual(sent["jsonrpc"], "2.0")
        self.assertEqual(sent["method"], "fetch")
        self.assertEqual(sent["params"], {"url": "u", "progressToken": sent["id"]})

    def test_messages_are_ascii_lines_whatever_they_hold(self) -> None:
        url = "https://h/modèle\n\u2028模.bin"
        sent = self.process().request(
            "probe", {"url": url}, settings=lambda: SETTINGS, on_update=never_stop
        )
        self.assertEqual(sent["params"], {"url": url})

    def test_a_missing_jar_is_one_sentence_with_its_path(self) -> None:
        process = self.sidecar_process(environ={})
        jar = self.folder / "pack" / "anymatix-fetcher.jar"
        self.assertIn(f"{jar} is missing", self.failure(process))

    def test_a_wrong_java_is_one_sentence(self) -> None:
        jar = self.folder / "some.jar"
        jar.write_bytes(b"")
        process = self.sidecar_process(jar=jar, environ={"ANYMATIX_JAVA": "/no/java"})
        self.assertIn("ANYMATIX_JAVA names /no/java, which does not exist", self.failure(process))

    def test_a_java_of_another_machine_is_one_sentence(self) -> None:
        process = self.process()
        (self.folder / "java" / "bin" / "java").write_bytes(b"\x7fELF of nowhere")
        self.assertIn("cannot be started", self.failure(process))

    def test_a_process_that_ends_at_once_is_told_with_its_last_words(self) -> None:
        process = self.process("sys.exit('Error: Unable to access jarfile some.jar')")
        message = self.failure(process)
        self.assertIn("ended with code 1 (Error: Unable to access jarfile some.jar)", message)

    def test_a_failed_start_is_tried_again_by_the_next_request(self) -> None:
        process = self.process("sys.exit(1)")
        self.failure(process)
        java = self.folder / "java" / "bin" / "java"
        java.unlink()
        fake_java(self.folder / "second", ANSWER_EVERYTHING).rename(java)
        self.assertEqual(self.ask(process)["method"], "fetch")

    def test_a_process_that_never_answers_is_ended_and_told(self) -> None:
        process = self.process(HANG, silence_seconds=0.4)
        self.assertIn("did not answer for 0.4 seconds", self.failure(process))
        self.assertIsNone(process.pid)

    def test_a_process_that_does_not_even_read_blocks_nobody(self) -> None:
        process = self.process("threading.Event().wait()", silence_seconds=0.4)
        settings = {"modelsDir": "x" * 1_000_000}  # more than any pipe holds
        with self.assertRaises(self.sidecar.SidecarError):
            process.request("fetch", {}, settings=lambda: settings, on_update=never_stop)

    def silent_once_answered(self, process: Any, seconds: float) -> Any:
        """Shortens the patience of each process that has answered: a start may take its time."""

        def shorten(progress: Any) -> None:
            jvm = process._live_jvm()
            if jvm is not None and jvm.has_answered:
                jvm._silence_seconds = seconds

        return shorten

    def test_a_process_that_falls_silent_is_replaced_a_few_times_only(self) -> None:
        process = self.process(ANSWER_ONCE_THEN + HANG)
        with self.assertRaises(self.sidecar.SidecarError) as failed:
            self.ask(process, on_update=self.silent_once_answered(process, 0.3))
        self.assertIn(
            "did not answer for 0.3 seconds, 4 times in one request", str(failed.exception)
        )

    def test_a_slow_request_is_no_silence_while_pings_are_answered(self) -> None:
        slow = """
            pings = 0
            for line in sys.stdin:
                message = json.loads(line)
                if message["method"] == "fetch":
                    fetch = message["id"]
                    continue
                print(json.dumps({"id": message["id"], "result": "pong"}), flush=True)
                pings += message["method"] == "ping"
                if pings == 4:
                    print(json.dumps({"id": fetch, "result": "done"}), flush=True)
            """
        process = self.process(slow)
        patience = self.silent_once_answered(process, 1.0)
        self.assertEqual(self.ask(process, on_update=patience), "done")

    def test_a_process_that_dies_in_each_attempt_is_given_up(self) -> None:
        process = self.process(ANSWER_ONCE_THEN + "os.kill(os.getpid(), signal.SIGKILL)")
        self.assertIn("was ended by signal 9, 4 times in one request", self.failure(process))

    def test_a_process_killed_between_requests_is_replaced(self) -> None:
        process = self.process()
        self.ask(process)
        first = process.pid
        os.kill(first, signal.SIGKILL)
        self.assertEqual(self.ask(process)["method"], "fetch")
        self.assertNotEqual(process.pid, first)

    def test_new_settings_initialize_again_and_equal_ones_do_not(self) -> None:
        count = """
            initialized = 0
            for line in sys.stdin:
                message = json.loads(line)
                initialized += message["method"] == "initialize"
                print(json.dumps({"id": message["id"], "result": initialized}), flush=True)
            """
        process = self.process(count)

        def initialized(settings: dict[str, Any]) -> int:
            count: int = process.request(
                "status", {}, settings=lambda: settings, on_update=never_stop
            )
            return count

        self.assertEqual(initialized({"folders": {"vae": ["/a"]}}), 1)
        self.assertEqual(initialized({"folders": {"vae": ["/a"]}}), 1)
        self.assertEqual(initialized({"folders": {"vae": ["/a", "/b"]}}), 2)

    def test_settings_that_grow_are_never_taken_back_by_a_slower_caller(self) -> None:
        tell_folders = """
            folders = None
            for line in sys.stdin:
                message = json.loads(line)
                if message["method"] == "initialize":
                    folders = message["params"]["folders"]
                print(json.dumps({"id": message["id"], "result": folders}), flush=True)
            """
        process = self.process(tell_folders)
        lock = threading.Lock()
        folders: list[str] = []

        def ask_with_one_more(n: int) -> Any:
            with lock:
                folders.append(str(n))
            return process.request(
                "status", {}, settings=lambda: {"folders": list(folders)}, on_update=never_stop
            )

        calls = [InThread(lambda n=n: ask_with_one_more(n)) for n in range(8)]  # type: ignore[misc]
        for n, call in enumerate(calls):
            self.assertIn(str(n), call.result())

    def test_a_process_that_gave_way_still_serves_and_ends_after_each_request(self) -> None:
        process = self.process()
        self.ask(process)
        first = process.pid
        process.give_way()
        self.assertTrue(await_exit(first, WAIT_SECONDS))
        self.logs.records.clear()
        self.assertEqual(self.ask(process)["method"], "fetch")
        started = self.logs.wait_for("started with Java").getMessage()
        self.assertTrue(await_exit(int(started.split()[2]), WAIT_SECONDS))

    def test_a_second_load_of_the_pack_takes_the_place_of_the_first(self) -> None:
        process = self.process()
        registry = vars(sys.modules[self.sidecar._REGISTRY])
        folder = self.folder / "pack"
        registry[str(folder)] = process
        self.ask(process)
        pid = process.pid
        self.assertIsNot(self.sidecar.shared_process(folder), process)
        self.assertTrue(await_exit(pid, WAIT_SECONDS))

    def test_answers_in_any_order_reach_their_callers(self) -> None:
        reverse = """
            held = []
            for line in sys.stdin:
                message = json.loads(line)
                if message["method"] == "fetch":
                    held.append(message)
                else:
                    print(json.dumps({"id": message["id"], "result": None}), flush=True)
                if len(held) == 8:
                    for message in reversed(held):
                        token = message["params"]["progressToken"]
                        url = message["params"]["url"]
                        params = {"token": token, "value": {"fileName": url}}
                        print(json.dumps({"method": "$/progress", "params": params}))
                        print(json.dumps({"id": message["id"], "result": url}), flush=True)
            """
        process = self.process(reverse)
        seen: dict[str, list[Any]] = {f"u{n}": [] for n in range(8)}

        def fetch(url: str) -> Any:
            def on_update(progress: Any) -> None:
                if progress is not None:
                    seen[url].append((progress["fileName"], threading.get_ident()))

            result = process.request(
                "fetch", {"url": url}, settings=lambda: SETTINGS, on_update=on_update
            )
            return result, threading.get_ident()

        calls = {url: InThread(lambda url=url: fetch(url)) for url in seen}  # type: ignore[misc]
        for url, call in calls.items():
            result, thread = call.result()
            self.assertEqual(result, url)
            self.assertEqual(seen[url], [(url, thread)])

    def test_what_is_no_message_is_passed_over(self) -> None:
        noisy = "print('Hello from a library', flush=True); print('[1]', flush=True)"
        self.assertEqual(self.ask(self.process(noisy + ANSWER_EVERYTHING))["method"], "fetch")
        self.logs.wait_for("Not a message: Hello from a library")

    def test_an_error_answer_is_raised_with_its_data_and_without_secrets(self) -> None:
        error = """
            for line in sys.stdin:
                message = json.loads(line)
                answer = {"id": message["id"], "result": {}}
                if message["method"] == "fetch":
                    text = "403 at h/?token=SECRET"
                    error = {"code": -32000, "message": text, "data": {"kind": "k"}}
                    answer = {"id": message["id"], "error": error}
                print(json.dumps(answer), flush=True)
            """
        with self.assertRaises(self.sidecar.RpcError) as failed:
            self.ask(self.process(error))
        self.assertEqual(str(failed.exception), "403 at h/?token=***")
        self.assertEqual((failed.exception.code, failed.exception.data), (-32000, {"kind": "k"}))

    def test_what_the_caller_raises_cancels_and_comes_back_unchanged(self) -> None:
        cancelled = """
            for line in sys.stdin:
                message = json.loads(line)
                if message["method"] == "initialize":
                    print(json.dumps({"id": message["id"], "result": {}}), flush=True)
                elif message["method"] == "$/cancelRequest":
                    print("cancelled", message["params"]["id"], file=sys.stderr, flush=True)
                    error = {"code": -32800, "message": "cancelled"}
                    print(json.dumps({"id": message["params"]["id"], "error": error}), flush=True)
                else:
                    print("asked", message["id"], file=sys.stderr, flush=True)
            """

        class Stop(Exception):
            pass

        stop = Stop()
        process = self.process(cancelled)

        def stop_once_asked(progress: Any) -> None:
            if any(text.startswith("asked") for text in self.logs.texts()):
                raise stop

        with self.assertRaises(Stop) as raised:
            self.ask(process, on_update=stop_once_asked)
        self.assertIs(raised.exception, stop)
        self.assertIsNone(stop.__cause__)
        asked = self.logs.wait_for("asked").getMessage().split()[1]
        self.logs.wait_for(f"cancelled {asked}")

    def test_a_cancelled_request_that_does_not_answer_is_left_after_a_second(self) -> None:
        deaf = ANSWER_ONCE_THEN + "print('asked', file=sys.stderr, flush=True)" + HANG
        process = self.process(deaf)
        raised_at: list[float] = []

        def stop_once_asked(progress: Any) -> None:
            if "asked" in self.logs.texts():
                raised_at.append(time.monotonic())
                raise KeyError

        with self.assertRaises(KeyError):
            self.ask(process, on_update=stop_once_asked)
        self.assertLess(time.monotonic() - raised_at[0], 5.0)

    def test_stop_is_heard_while_the_process_starts(self) -> None:
        process = self.process(HANG)

        def stop(progress: Any) -> None:
            raise KeyError

        started = time.monotonic()
        with self.assertRaises(KeyError):
            self.ask(process, on_update=stop)
        self.assertLess(time.monotonic() - started, 5.0)

    def test_a_flood_on_stderr_is_cut_short_and_blocks_nothing(self) -> None:
        flood = "for n in range(200_000): print('INFO  chatter', n, file=sys.stderr)"
        process = self.process(flood + ANSWER_EVERYTHING)
        self.assertEqual(self.ask(process)["method"], "fetch")
        process.close()
        self.logs.wait_for("lines were left out")
        self.assertLess(len(self.logs.records), 10_000)
        (notice,) = part_of_pack(self.pack, "notices").told()
        self.assertIn("too much to ComfyUI's log", notice)

    def test_log_lines_keep_their_level_and_lose_their_secrets(self) -> None:
        lines = """
            for line in [
                "12:00:00.123 DEBUG transfer - piece 4 done",
                "12:00:00.124 WARN  transfer - 403 for https://h/m?token=SECRET&x=1",
                "12:00:00.125 ERROR rpc - failed",
                "    at io.anymatix.Fetcher.fetch(Fetcher.java:1)",
                "Authorization: Bearer SECRET",
            ]:
                print(line, file=sys.stderr, flush=True)
            """
        process = self.process(textwrap.dedent(lines) + ANSWER_EVERYTHING)
        self.ask(process)
        expected = {
            "piece 4": logging.DEBUG,
            "403 for https://h/m?token=***&x=1": logging.WARNING,
            "rpc - failed": logging.ERROR,
            "    at io": logging.ERROR,
            "Authorization": logging.INFO,
        }
        for part, level in expected.items():
            with self.subTest(line=part):
                self.assertEqual(self.logs.wait_for(part).levelno, level)
        self.assertNotIn("SECRET", "".join(self.logs.texts()))

    def test_closing_ends_the_process_by_the_end_of_its_input(self) -> None:
        process = self.process(ANSWER_EVERYTHING + "print('input ended', file=sys.stderr)")
        self.ask(process)
        pid = process.pid
        process.close()
        self.assertTrue(await_exit(pid, 0))
        self.logs.wait_for("input ended")

    def test_closing_ends_a_process_that_does_not_want_to_end(self) -> None:
        self.sidecar._EXIT_SECONDS = 0.3
        process = self.process(ANSWER_EVERYTHING + "threading.Event().wait()")
        self.ask(process)
        pid = process.pid
        process.close()
        self.assertTrue(await_exit(pid, WAIT_SECONDS))

    def test_a_closed_process_is_not_started_again(self) -> None:
        process = self.process()
        self.ask(process)
        process.close()
        self.assertIn("was closed", self.failure(process))

    @unittest.skipUnless(hasattr(os, "fork"), "needs fork")
    def test_a_forked_child_can_neither_use_nor_end_the_process(self) -> None:
        process = self.process()
        self.ask(process)
        child = os.fork()
        if child == 0:
            process.close()
            try:
                self.ask(process)
            except self.sidecar.SidecarError:
                os._exit(0)
            os._exit(1)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(self.ask(process)["method"], "fetch")


class RedactionTest(ShimTestCase):
    def test_values_that_open_doors_are_left_out(self) -> None:
        cases = {
            "https://h/a?x=1&token=T&y=2": "https://h/a?x=1&token=***&y=2",
            "https://h/a?API_KEY=T": "https://h/a?API_KEY=***",
            "https://h/a?access_token=T#f": "https://h/a?access_token=***#f",
            "https://h/a?%3Ftoken=T": "https://h/a?%3Ftoken=***",
            "https://h/a?X-Amz-Signature=T&X-Amz-Date=D": (
                "https://h/a?X-Amz-Signature=***&X-Amz-Date=***"
            ),
            "https://h/a?sig=T&signature=T": "https://h/a?sig=***&signature=***",
            "https://user:pass@h/a": "https://h/a",
            "https://mega.nz/file/ID#KEY": "https://mega.nz/file/ID",
            "https://mega.nz/#!ID!KEY": "https://mega.nz/#!ID",
            "sent Authorization: Bearer hf_T.x-y to h": "sent Authorization: Bearer *** to h",
        }
        for text, expected in cases.items():
            with self.subTest(text=text):
                self.assertEqual(self.sidecar.redact(text), expected)

    def test_everything_else_stays_as_it_is(self) -> None:
        for text in (
            "https://h/a?config=1&design=2&maxtoken=5&key=x#token",
            "https://huggingface.co/o/r/resolve/main/m.safetensors",
            "the token bucket = 5; mail me@h",
            "",
        ):
            with self.subTest(text=text):
                self.assertEqual(self.sidecar.redact(text), text)


class ImportTest(ShimTestCase):
    def test_importing_the_pack_starts_and_reads_nothing(self) -> None:
        self.assertIsNone(self.fetching.sidecar_process.pid)
        self.assertEqual(self.logs.records, [])
        self.assertNotIn("torch", part_of_pack(self.pack, "nodes").__dict__)


if __name__ == "__main__":
    unittest.main()
