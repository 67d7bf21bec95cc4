"""The nodes, in the stand-in ComfyUI, with the real jar and a server on loopback behind them."""

from __future__ import annotations

import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path
from typing import Any

from comfy_stand_in import ComfyUI, Prompt, Run
from range_server import RangeServer
from support import (
    JAR,
    SHIM,
    WAIT_SECONDS,
    InThread,
    ShimTestCase,
    await_exit,
    environment,
    random_bytes,
    require_jar,
)

SEED = 20261121
SMALL = random_bytes(SEED, 100_000)
LARGE = random_bytes(SEED + 1, 16 * 1024 * 1024)
"""Large enough to be fetched over several connections."""


class RealJarTest(ShimTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        require_jar()

    def setUp(self) -> None:
        super().setUp()
        self.server = RangeServer()
        self.server.__enter__()
        self.addCleanup(self.server.__exit__, None, None, None)
        self.enter_comfyui()
        self.process = self.sidecar_process(jar=JAR, environ=environment(self.folder / "state"))
        self.fetching.sidecar_process = self.process

    def enter_comfyui(self, **options: Any) -> None:
        """Loads the pack in a ComfyUI of its own."""
        self.comfy = ComfyUI(self.folder, {}, **options)
        self.comfy.__enter__()
        self.addCleanup(self.comfy.__exit__, None, None, None)
        self.load_pack()
        self.comfy.node_classes.update(self.pack.NODE_CLASS_MAPPINGS)

    def node(self, spec: Any) -> Any:
        """What the node gives, run outside of a prompt."""
        return self.fetching.Fetch(self.nodes._fetch_params(spec)).run()

    def prompt(self, url: str, kind: str = "checkpoint", **more: str) -> Prompt:
        """One fetcher node, whose outputs nobody takes."""
        spec = {"url": url, "type": kind, **more}
        return {"1": {"class_type": "AnymatixFetcher", "inputs": {"url": spec}}}

    def run_to_success(self, prompt: Prompt) -> Run:
        run = self.comfy.run(prompt)
        self.assertEqual(run.status, "success", run.details)
        return run

    def store(self, kind: str = "checkpoints") -> dict[str, int]:
        """The files in a folder of the models folder, with their lengths."""
        folder = self.comfy.models_dir / kind
        if not folder.exists():
            return {}
        return {file.name: file.stat().st_size for file in folder.iterdir()}


class FetchTest(RealJarTest):
    def test_a_fetched_model_is_on_disk_and_its_name_feeds_a_loader(self) -> None:
        url = self.server.serve("/models/m.safetensors", SMALL)
        prompt = {
            **self.prompt(url),
            "2": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": ["1", 1]}},
            "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
        }
        run = self.run_to_success(prompt)
        path, name = run.outputs["1"]
        self.assertTrue(os.path.isabs(path))
        self.assertEqual(Path(path).read_bytes(), SMALL)
        self.assertEqual(Path(path).parent, self.comfy.models_dir / "checkpoints")
        self.assertEqual(self.comfy.list_models("checkpoints"), [name])
        self.assertEqual(run.outputs["2"], (SMALL,))
        self.assertEqual(len([n for n in self.store() if n.endswith(".json")]), 1)

    def test_a_large_model_arrives_whole_and_its_bar_moves_in_the_nodes_own_thread(self) -> None:
        url = self.server.serve("/l.safetensors", LARGE)
        thread = InThread(lambda: (self.run_to_success(self.prompt(url)), threading.get_ident()))
        run, node_thread = thread.result()
        self.assertEqual(Path(run.outputs["1"][0]).read_bytes(), LARGE)
        values = self.comfy.progress_of("1")
        self.assertEqual(values[0], 0)
        self.assertEqual(values[-1], 1000)
        self.assertLessEqual(max(values), 1000)
        self.assertEqual(self.comfy.progress_threads, {node_thread})
        self.assertEqual(self.comfy.interrupt_checked_in, {node_thread})

    def test_a_model_that_is_there_costs_no_request(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        first = self.run_to_success(self.prompt(url)).outputs["1"]
        requests = len(self.server.requests)
        self.process.close()
        self.fetching.sidecar_process = self.sidecar_process(
            jar=JAR, environ=environment(self.folder / "state")
        )
        self.assertEqual(self.node({"url": url, "type": "checkpoint"}), first)
        self.assertEqual(len(self.server.requests), requests)

    def test_is_changed_is_nan_before_a_hash_after_and_nan_when_the_file_is_gone(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        node = self.pack.NODE_CLASS_MAPPINGS["AnymatixFetcher"]
        spec = {"url": url, "type": "checkpoint"}
        self.assertTrue(math.isnan(node.IS_CHANGED(spec)))
        self.assertEqual(self.server.requests, [])
        path = self.run_to_success(self.prompt(url)).outputs["1"][0]
        fingerprint = node.IS_CHANGED(spec)
        self.assertRegex(fingerprint, "^[0-9a-f]{64}$")
        self.assertEqual(node.IS_CHANGED(spec), fingerprint)
        os.remove(path)
        self.assertTrue(math.isnan(node.IS_CHANGED(spec)))

    def test_the_second_run_finds_the_file_and_the_third_is_cached(self) -> None:
        prompt = self.prompt(self.server.serve("/m.safetensors", SMALL))
        self.assertEqual(self.run_to_success(prompt).executed, ["1"])
        requests = len(self.server.requests)
        self.assertEqual(self.run_to_success(prompt).executed, ["1"])
        self.assertEqual(self.run_to_success(prompt).cached, ["1"])
        self.assertEqual(len(self.server.requests), requests)

    def test_the_checkpoint_node_moves_the_token_out_of_the_stored_url(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL) + "?token=SECRET&x=a%20b"
        prompt = {"1": {"class_type": "AnymatixCheckpointFetcher", "inputs": {"url": url}}}
        path, _ = self.run_to_success(prompt).outputs["1"]
        self.assertEqual(Path(path).read_bytes(), SMALL)
        self.assertIn("/m.safetensors?x=a+b&token=SECRET", {r[1] for r in self.server.requests})
        (sidecar_file,) = (self.comfy.models_dir / "checkpoints").glob("*.json")
        stored = json.loads(sidecar_file.read_text())
        self.assertEqual(stored["url"], self.server.url("/m.safetensors") + "?x=a+b")
        self.assertNotIn("SECRET", "".join(self.logs.texts()))

    def test_a_folder_registered_after_the_start_is_used(self) -> None:
        self.run_to_success(self.prompt(self.server.serve("/a.safetensors", SMALL)))
        pid = self.process.pid
        extra = self.folder / "elsewhere"
        self.comfy.folder_table["my_models"] = ([str(extra)], set())
        url = self.server.serve("/b.safetensors", SMALL)
        path, _ = self.run_to_success(self.prompt(url, "my_models")).outputs["1"]
        self.assertEqual(Path(path).parent, extra)
        self.assertEqual(self.process.pid, pid)

    def test_a_plain_name_is_what_the_loader_gets(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        run = self.run_to_success(self.prompt(url, "vae", name="kind.safetensors"))
        self.assertEqual(run.outputs["1"][1], "kind.safetensors")

    def test_fetches_from_many_threads_share_one_process(self) -> None:
        urls = [self.server.serve(f"/{n}.safetensors", SMALL[n:]) for n in range(8)]

        def fetch(url: str) -> Any:
            return self.node({"url": url, "type": "lora"})

        calls = [InThread(lambda url=url: fetch(url)) for url in urls]  # type: ignore[misc]
        for n, call in enumerate(calls):
            path, _ = call.result()
            self.assertEqual(Path(path).read_bytes(), SMALL[n:])
        started = [text for text in self.logs.texts() if "started with Java" in text]
        self.assertEqual(len(started), 1)


class SideBySideTest(RealJarTest):
    """Several fetchers of one prompt."""

    def four(self, after_bytes: int | None = None) -> tuple[Prompt, list[Any]]:
        """A prompt with four fetchers, and what holds each of their files, if something does."""
        prompt: Prompt = {}
        holds = []
        for n in range(4):
            path = f"/{n}.safetensors"
            url = self.server.serve(path, SMALL[n:])
            if after_bytes is not None:
                holds.append(self.server.hold(path, after_bytes))
            spec = {"url": url, "type": "lora"}
            prompt[str(n)] = {"class_type": "AnymatixFetcher", "inputs": {"url": spec}}
        return prompt, holds

    def test_all_of_them_download_at_the_same_time(self) -> None:
        prompt, holds = self.four(after_bytes=1)
        running = InThread(lambda: self.run_to_success(prompt))
        for hold in holds:
            self.assertTrue(hold.reached.wait(WAIT_SECONDS))
        for hold in holds:
            hold.released.set()
        for n, (path, _name) in running.result().outputs.items():
            self.assertEqual(Path(path).read_bytes(), SMALL[int(n) :])

    def test_before_async_nodes_they_download_one_after_another(self) -> None:
        self.enter_comfyui(is_async=False)
        self.fetching.sidecar_process = self.process
        prompt, holds = self.four(after_bytes=1)
        running = InThread(lambda: self.run_to_success(prompt))
        for n, hold in enumerate(holds):
            self.assertTrue(hold.reached.wait(WAIT_SECONDS))
            self.assertFalse(any(later.reached.is_set() for later in holds[n + 1 :]))
            hold.released.set()
        self.assertEqual(len(running.result().outputs), 4)

    def test_four_slow_files_take_about_as_long_as_one(self) -> None:
        def seconds(prefix: str, count: int) -> float:
            prompt: Prompt = {}
            for n in range(count):
                path = f"/{prefix}{n}.safetensors"
                spec = {"url": self.server.serve(path, LARGE[n : n + 2_000_000]), "type": "vae"}
                self.server.slow_down(path, 0.05)
                prompt[str(n)] = {"class_type": "AnymatixFetcher", "inputs": {"url": spec}}
            began = time.monotonic()
            self.run_to_success(prompt)
            return time.monotonic() - began

        seconds("first", 1)  # starts the JVM
        one, four = seconds("one", 1), seconds("four", 4)
        self.assertLess(four, 3 * one, f"one took {one:.2f} s, four took {four:.2f} s")

    def test_another_node_runs_while_they_download(self) -> None:
        prompt, holds = self.four(after_bytes=1)
        ran = threading.Event()

        class Generation:
            RETURN_TYPES = ()
            FUNCTION = "run"
            OUTPUT_NODE = True

            @classmethod
            def INPUT_TYPES(cls) -> dict[str, Any]:
                return {"required": {}}

            def run(self) -> tuple[()]:
                ran.set()
                return ()

        self.comfy.node_classes["Generation"] = Generation
        prompt["9"] = {"class_type": "Generation", "inputs": {}}
        running = InThread(lambda: self.run_to_success(prompt))
        self.assertTrue(ran.wait(WAIT_SECONDS))
        for hold in holds:
            self.assertTrue(hold.reached.wait(WAIT_SECONDS))
            hold.released.set()
        running.result()

    def test_a_failure_of_one_ends_the_others_and_keeps_their_parts(self) -> None:
        prompt, holds = self.four(after_bytes=65536)
        gone = {"url": self.server.refuse("/gone.safetensors", 404), "type": "lora"}
        fetcher = {"class_type": "AnymatixFetcher", "inputs": {"url": gone}}
        prompt["9"] = fetcher
        run = self.comfy.run(prompt)
        self.assertEqual((run.status, run.details["node_id"]), ("execution_error", "9"))
        for hold in holds:
            hold.released.set()
        self.assertEqual(self.run_to_success({n: prompt[n] for n in "0123"}).status, "success")


class AnymatixFetchTest(RealJarTest):
    def prompt_of(self, **inputs: str) -> Prompt:
        return {"1": {"class_type": "AnymatixFetch", "inputs": inputs}}

    def test_the_widgets_name_a_model_and_a_v3_list_takes_its_name(self) -> None:
        url = self.server.serve("/l.safetensors", SMALL)
        prompt = {
            **self.prompt_of(url=f" {url}\n", type="lora", sha256="", name="kind.safetensors"),
            "2": {"class_type": "V3LoraLoader", "inputs": {"lora_name": ["1", 1]}},
            "3": {"class_type": "PreviewAny", "inputs": {"source": ["2", 0]}},
        }
        run = self.run_to_success(prompt)
        self.assertEqual(run.outputs["1"][1], "kind.safetensors")
        self.assertEqual(run.outputs["2"], (SMALL,))

    def test_it_shares_the_store_with_the_other_nodes(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        first = self.run_to_success(self.prompt(url)).outputs["1"]
        requests = len(self.server.requests)
        run = self.run_to_success(self.prompt_of(url=url, type="checkpoint"))
        self.assertEqual(run.outputs["1"], first)
        self.assertEqual(len(self.server.requests), requests)

    def test_a_hash_that_the_file_does_not_have_is_an_error(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        run = self.comfy.run(self.prompt_of(url=url, type="vae", sha256="0" * 64))
        self.assertEqual(run.status, "execution_error")
        self.assertIn("SHA-256", run.details["exception_message"])
        self.assertEqual(self.store("vae"), {})

    def test_a_type_that_is_not_offered_is_refused_before_anything_runs(self) -> None:
        run = self.comfy.run(self.prompt_of(url="https://h/m", type="custom_nodes"))
        self.assertEqual(run.details["type"], "value_not_in_list")

    def test_the_second_run_finds_the_file_and_the_third_is_cached(self) -> None:
        prompt = self.prompt_of(url=self.server.serve("/m.safetensors", SMALL), type="vae")
        self.assertEqual(self.run_to_success(prompt).executed, ["1"])
        self.assertEqual(self.run_to_success(prompt).executed, ["1"])
        self.assertEqual(self.run_to_success(prompt).cached, ["1"])


class SeveralProcessesTest(RealJarTest):
    """Two ComfyUIs with one models folder, each with a sidecar process of its own."""

    def test_one_file_is_downloaded_once(self) -> None:
        url = self.server.serve("/l.safetensors", LARGE)
        hold = self.server.hold("/l.safetensors", 8 * 1024 * 1024)
        other = self.sidecar_process(jar=JAR, environ=environment(self.folder / "other-state"))
        reasons: list[str] = []

        def notice_wait(progress: Any) -> None:
            if progress is not None and progress["phase"] == "waiting":
                reasons.append(progress["reason"])
                hold.released.set()

        settings = self.comfyui.settings
        # So that it runs by the time it is needed.
        other.request("status", {}, settings=settings, on_update=notice_wait)
        first = InThread(lambda: self.run_to_success(self.prompt(url)))
        self.assertTrue(hold.reached.wait(WAIT_SECONDS))
        params = {"url": url, "type": "checkpoint"}
        second = other.request("fetch", params, settings=settings, on_update=notice_wait)
        path, _ = first.result().outputs["1"]
        self.assertEqual((second["path"], second["outcome"]), (path, "present"))
        self.assertIn("nother process", reasons[0])
        self.assertEqual(Path(path).read_bytes(), LARGE)


class ReloadTest(RealJarTest):
    def test_the_process_of_an_earlier_load_gives_way_when_it_is_idle(self) -> None:
        earlier = self.process
        self.node({"url": self.server.serve("/m.safetensors", SMALL), "type": "vae"})
        pid = earlier.pid
        earlier.give_way()
        self.assertTrue(await_exit(pid, WAIT_SECONDS))

    def test_a_fetch_that_runs_meanwhile_is_finished_first(self) -> None:
        url = self.server.serve("/l.safetensors", LARGE)
        hold = self.server.hold("/l.safetensors", 8 * 1024 * 1024)
        running = InThread(lambda: self.run_to_success(self.prompt(url)))
        self.assertTrue(hold.reached.wait(WAIT_SECONDS))
        pid = self.process.pid
        self.process.give_way()
        hold.released.set()
        self.assertEqual(Path(running.result().outputs["1"][0]).read_bytes(), LARGE)
        self.assertTrue(await_exit(pid, WAIT_SECONDS))


class FailureTest(RealJarTest):
    def failure(self, prompt: Prompt) -> dict[str, Any]:
        run = self.comfy.run(prompt)
        self.assertEqual(run.status, "execution_error")
        self.assertNotIn("RpcError", run.server_log)
        return run.details

    def test_a_missing_file_is_told_in_the_expected_shape(self) -> None:
        url = self.server.url("/gone.safetensors")
        message = self.failure(self.prompt(url))["exception_message"]
        first, last = message.split("\n")
        self.assertRegex(first, r"^Failed to download checkpoint model: .*404.*\.")
        self.assertEqual(last, f"URL: {url}")
        self.assertEqual(self.store(), {})

    def test_an_unknown_type_is_named(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        message = self.failure(self.prompt(url, "nonsense"))["exception_message"]
        self.assertTrue(message.startswith("Failed to download nonsense model: "), message)
        self.assertTrue(message.endswith(f"\nURL: {url}"), message)
        self.assertEqual(self.server.requests, [])

    def test_no_token_appears_in_an_error_or_in_the_log(self) -> None:
        url = self.server.refuse("/m.safetensors", 403)
        details = self.failure(self.prompt(url, auth="token=SECRET"))
        self.assertNotIn("SECRET", details["exception_message"])
        self.assertNotIn("SECRET", "".join(details["traceback"]))
        self.assertNotIn("SECRET", "".join(self.logs.texts()))

    def test_the_process_goes_on_after_a_failure(self) -> None:
        self.failure(self.prompt(self.server.url("/gone.safetensors")))
        pid = self.process.pid
        self.run_to_success(self.prompt(self.server.serve("/m.safetensors", SMALL)))
        self.assertEqual(self.process.pid, pid)


class StopTest(RealJarTest):
    def test_stop_in_mid_fetch_interrupts_within_a_second_and_keeps_the_part(self) -> None:
        url = self.server.serve("/l.safetensors", LARGE)
        hold = self.server.hold("/l.safetensors", 8 * 1024 * 1024)
        running = InThread(lambda: self.comfy.run(self.prompt(url)))
        self.assertTrue(hold.reached.wait(WAIT_SECONDS))
        pressed_at = time.monotonic()
        self.comfy.press_stop()
        run = running.result()
        # 50 ms until it is seen, a second at most until the process has answered.
        self.assertLess(time.monotonic() - pressed_at, 5.0)
        self.assertEqual(run.status, "execution_interrupted")
        self.assertEqual(run.details["node_id"], "1")
        self.assertTrue([name for name in self.store() if name.endswith(".part")], self.store())
        self.assertEqual(self.comfy.list_models("checkpoints"), [])

        hold.released.set()
        path, _ = self.run_to_success(self.prompt(url)).outputs["1"]
        self.assertEqual(Path(path).read_bytes(), LARGE)
        # What had been received is not asked for again: the first byte of all was wanted once.
        ranges = [wanted or "all" for _, _, wanted in self.server.requests]
        from_start = [r for r in ranges if r.startswith(("bytes=0-", "all")) and r != "bytes=0-0"]
        self.assertEqual(len(from_start), 1, ranges)

    def test_stop_before_any_byte_interrupts_as_well(self) -> None:
        url = self.server.serve("/m.safetensors", SMALL)
        hold = self.server.hold("/m.safetensors", 0)
        running = InThread(lambda: self.comfy.run(self.prompt(url)))
        self.assertTrue(hold.reached.wait(WAIT_SECONDS))
        self.comfy.press_stop()
        self.assertEqual(running.result().status, "execution_interrupted")


@unittest.skipIf(sys.platform == "win32", "there is no kill -9")
class KillTest(RealJarTest):
    def test_a_killed_jvm_is_replaced_and_the_fetch_goes_on(self) -> None:
        url = self.server.serve("/l.safetensors", LARGE)
        hold = self.server.hold("/l.safetensors", 12 * 1024 * 1024)
        running = InThread(lambda: self.run_to_success(self.prompt(url)))
        self.assertTrue(hold.reached.wait(WAIT_SECONDS))
        first = self.process.pid
        os.kill(first, signal.SIGKILL)
        self.logs.wait_for("was ended by signal 9; starting a new one")
        hold.released.set()
        path, _ = running.result().outputs["1"]
        self.assertEqual(Path(path).read_bytes(), LARGE)
        self.assertNotEqual(self.process.pid, first)

    def test_closing_in_mid_fetch_ends_the_jvm_and_keeps_the_part(self) -> None:
        url = self.server.serve("/l.safetensors", LARGE)
        hold = self.server.hold("/l.safetensors", 8 * 1024 * 1024)
        running = InThread(lambda: self.comfy.run(self.prompt(url)))
        self.assertTrue(hold.reached.wait(WAIT_SECONDS))
        pid = self.process.pid
        self.process.close()
        self.assertTrue(await_exit(pid, 0))
        self.assertEqual(running.result().status, "execution_error")
        self.assertTrue([name for name in self.store() if name.endswith(".part")], self.store())

    def test_a_jvm_does_not_outlive_its_killed_parent(self) -> None:
        url = self.server.serve("/l.safetensors", LARGE)
        hold = self.server.hold("/l.safetensors", 8 * 1024 * 1024)
        pack = self.folder / "pack"
        pack.mkdir()
        for source in SHIM.glob("*.py"):
            shutil.copy(source, pack)
        script = f"""if True:
            import sys
            from pathlib import Path
            sys.path.insert(0, {str(self.folder)!r})
            from pack.sidecar import SidecarProcess
            process = SidecarProcess(Path({str(pack)!r}), jar=Path({str(JAR)!r}))
            settings = {{"modelsDir": {str(self.comfy.models_dir)!r}}}
            def tell(progress):
                if process.pid:
                    print(process.pid, flush=True)
            params = {{"url": {url!r}, "type": "checkpoint"}}
            process.request("fetch", params, settings=lambda: settings, on_update=tell)
            """
        parent = subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            env=environment(self.folder / "state"),
        )
        self.addCleanup(parent.wait)
        self.addCleanup(parent.kill)
        assert parent.stdout is not None
        with parent.stdout as output:
            pid = int(output.readline())
            self.assertTrue(hold.reached.wait(WAIT_SECONDS))
            parent.kill()
            self.assertTrue(await_exit(pid, WAIT_SECONDS), f"{pid} outlived its parent")


class FloodTest(RealJarTest):
    @unittest.skipIf(sys.platform == "win32", "the stand-in Java is a script")
    def test_a_real_fetch_passes_through_a_flood_on_stderr(self) -> None:
        java_runtime = sys.modules[f"{self.pack.__name__}.java_runtime"]
        environ = environment(self.folder / "state")
        real = java_runtime.find_java(SHIM, environ).executable
        flooding = self.folder / "jdk" / "bin" / "java"
        flooding.parent.mkdir(parents=True)
        flooding.write_text(
            f"#!/bin/sh\nyes 'INFO flood' | head -n 500000 >&2 &\nexec '{real}' \"$@\"\n"
        )
        flooding.chmod(0o755)
        (flooding.parent.parent / "release").write_text('JAVA_VERSION="17"\n')
        environ["ANYMATIX_JAVA"] = str(flooding)
        self.fetching.sidecar_process = self.sidecar_process(jar=JAR, environ=environ)
        url = self.server.serve("/m.safetensors", SMALL)
        path, _ = self.run_to_success(self.prompt(url)).outputs["1"]
        self.assertEqual(Path(path).read_bytes(), SMALL)


if __name__ == "__main__":
    unittest.main()
