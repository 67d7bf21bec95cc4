"""Whom the panel's routes heed, and what they pass on; a stand-in Java answers behind them."""

from __future__ import annotations

import http.client
import json
import os
import sys
import threading
import unittest
from types import ModuleType
from typing import Any
from unittest import mock

from comfy_stand_in import ComfyUI
from support import SHIM, WAIT_SECONDS, InThread, ShimTestCase, fake_java
from web_stand_in import WebServer

ECHO_SETTINGS = """
settings = None
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "initialize":
        settings = message["params"]
    result = {"settings": settings, "asked": message["params"]}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}), flush=True)
"""
"""A fake Java that answers with what it was initialized with."""

MISSING_URL = "https://huggingface.co/org/repo/resolve/main/vae.safetensors"


@unittest.skipIf(sys.platform == "win32", "the stand-in Javas are scripts")
class PanelTest(ShimTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.comfy = ComfyUI(self.folder, {})
        self.comfy.__enter__()
        self.addCleanup(self.comfy.__exit__, None, None, None)
        self.web = WebServer(self.comfy, SHIM / "web")
        self.web.__enter__()
        self.addCleanup(self.web.__exit__, None, None, None)
        self.addCleanup(sys.modules.pop, "_anymatix_fetcher_panel", None)
        self.load_pack()
        self.use_java(ECHO_SETTINGS)

    def use_java(self, body: str) -> None:
        java = fake_java(self.folder / f"java-{len(body)}", body)
        jar = self.folder / "some.jar"
        jar.write_bytes(b"")
        environ = {"ANYMATIX_JAVA": str(java), "PATH": os.environ["PATH"]}
        self.fetching.sidecar_process = self.sidecar_process(jar=jar, environ=environ)

    def ask(self, verb: str, path: str, headers: dict[str, Any], body: Any = None) -> Any:
        """Status and JSON of an answer; a header that is None is left out."""
        connection = http.client.HTTPConnection(self.web.address, timeout=30)
        try:
            named = {name: value for name, value in headers.items() if value is not None}
            connection.putrequest(verb, path, skip_host="Host" in headers)
            content = b"" if body is None else json.dumps(body).encode()
            for name, value in {**named, "Content-Length": len(content)}.items():
                connection.putheader(name, value)
            connection.endheaders(content)
            answer = connection.getresponse()
            self.assertEqual("no-store", answer.getheader("Cache-Control"))
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def session(self, **changes: Any) -> Any:
        headers = {"Sec-Fetch-Site": "same-origin"}
        return self.ask("GET", "/anymatix-fetcher/session", {**headers, **changes})

    def key(self) -> str:
        status, body = self.session()
        self.assertEqual(200, status, body)
        return str(body["key"])

    def call(self, method: str, params: Any, changes: Any = None) -> Any:
        headers = {
            "Origin": f"http://{self.web.address}",
            "Content-Type": "application/json",
            "X-Anymatix-Key": self.key(),
            **(changes or {}),
        }
        return self.ask(
            "POST", "/anymatix-fetcher/call", headers, {"method": method, "params": params}
        )

    def result(self, method: str, params: Any) -> Any:
        status, body = self.call(method, params)
        self.assertEqual(200, status, body)
        return body["result"]

    def test_a_page_of_this_comfyui_is_heard(self) -> None:
        self.assertEqual({"id": "7"}, self.result("pause", {"id": "7"})["asked"])

    def test_only_this_machine_is_heard(self) -> None:
        for peer in ("192.168.1.7", "10.0.0.1", "::ffff:192.168.1.7", ""):
            self.web.peer = peer or "unix"
            status, body = self.session()
            self.assertEqual(403, status, peer)
            self.assertIn("ANYMATIX_PANEL_REMOTE=1", body["error"]["message"])
        for peer in ("127.0.0.1", "::1", "::ffff:127.0.0.1"):
            self.web.peer = peer
            self.assertEqual(200, self.session()[0], peer)

    def test_a_forwarded_request_comes_from_elsewhere(self) -> None:
        for name in ("X-Forwarded-For", "Forwarded", "X-Real-IP"):
            self.assertEqual(403, self.session(**{name: "127.0.0.1"})[0], name)

    def test_a_name_that_was_bound_to_loopback_is_not_heard(self) -> None:
        for host in ("evil.example", "evil.example:8188", "127.0.0.1.evil.example", ""):
            status, _ = self.session(Host=host, Origin=f"http://{host}")
            self.assertEqual(403, status, host)
        for host in ("localhost:8188", "127.0.0.1", "[::1]:8188"):
            status, _ = self.session(Host=host, Origin=f"http://{host}")
            self.assertEqual(200, status, host)

    def test_a_foreign_page_is_not_heard(self) -> None:
        for origin in ("null", "https://evil.example", f"http://{self.web.address}0", "file://"):
            self.assertEqual(403, self.session(Origin=origin)[0], origin)
            status, _ = self.call("queue", {}, {"Origin": origin})
            self.assertEqual(403, status, origin)
        for site in ("cross-site", "same-site", "none", None):
            self.assertEqual(403, self.session(**{"Sec-Fetch-Site": site})[0], site)

    def test_a_call_needs_an_origin_whatever_else_it_says(self) -> None:
        status, _ = self.call("queue", {}, {"Origin": None, "Sec-Fetch-Site": "same-origin"})
        self.assertEqual(403, status)

    def test_the_owner_can_open_it_to_others_but_never_to_foreign_pages(self) -> None:
        self.web.peer = "192.168.1.7"
        with mock.patch.dict(os.environ, {"ANYMATIX_PANEL_REMOTE": "1"}):
            host = "studio.example:8188"
            self.assertEqual(200, self.session(Host=host, Origin=f"http://{host}")[0])
            self.assertEqual(403, self.session(Host=host, Origin="http://evil.example")[0])

    def test_a_call_is_json_and_echoes_the_key(self) -> None:
        for media_type in ("text/plain", "application/x-www-form-urlencoded", None):
            self.assertEqual(415, self.call("queue", {}, {"Content-Type": media_type})[0])
        for key in ("", "guessed", "ключ".encode()):
            self.assertEqual(401, self.call("queue", {}, {"X-Anymatix-Key": key})[0])

    def test_the_key_is_another_one_at_each_start(self) -> None:
        first = self.key()
        self.assertGreaterEqual(len(first), 32)
        self.load_pack()
        self.assertNotEqual(first, self.key())

    def test_only_what_the_panel_needs_may_be_called(self) -> None:
        for method, params in (
            ("shutdown", {}),
            ("initialize", {"modelsDir": "/"}),
            ("setCredentials", {"civitai": "x"}),
            ("delete", {"url": "https://a.example/b"}),
            ("enqueue", {"url": "https://a.example/b", "dir": "/etc"}),
            ("enqueue", {"url": "https://a.example/b", "type": "vae", "auth": "token=x"}),
            ("__class__", {}),
        ):
            self.assertEqual(400, self.call(method, params)[0], method)

    def test_what_is_no_call_is_refused(self) -> None:
        bodies: tuple[Any, ...] = ([], "queue", {"method": 1}, {"method": "queue", "params": []})
        for body in bodies:
            headers = {
                "Origin": f"http://{self.web.address}",
                "Content-Type": "application/json",
                "X-Anymatix-Key": self.key(),
            }
            status, _ = self.ask("POST", "/anymatix-fetcher/call", headers, body)
            self.assertEqual(400, status, body)

    def test_a_token_goes_to_the_process_and_comes_back_to_nobody(self) -> None:
        secret = "a-secret-token-of-civitai"
        status, body = self.call("credentials", {"civitai": f" {secret} "})
        self.assertEqual((200, {"civitai": True, "huggingface": False}), (status, body["result"]))
        self.assertNotIn(secret, json.dumps(body))
        settings = self.result("queue", {})["settings"]
        self.assertEqual({"civitai": secret}, settings["credentials"])
        self.assertEqual({"civitai": True, "huggingface": False}, self.result("credentials", {}))
        self.assertNotIn(secret, "\n".join(self.logs.texts()))

    def test_a_token_is_given_to_a_process_that_was_started_again(self) -> None:
        self.result("credentials", {"huggingface": "hf_held"})
        self.result("queue", {})
        self.fetching.sidecar_process._live_jvm()._process.kill()
        settings = self.result("queue", {})["settings"]
        self.assertEqual({"huggingface": "hf_held"}, settings["credentials"])

    def test_a_token_outlives_a_reload_of_the_pack(self) -> None:
        first = self.sidecar.shared_process(self.folder)
        self.addCleanup(first.close)
        first.hold_credentials({"civitai": "held"})
        self.load_pack()
        second = self.sidecar.shared_process(self.folder)
        self.addCleanup(second.close)
        self.assertEqual({"civitai": "held"}, second.given_credentials())

    def test_a_token_can_be_forgotten(self) -> None:
        self.result("credentials", {"civitai": "x"})
        self.assertEqual(
            {"civitai": False, "huggingface": False}, self.result("credentials", {"civitai": ""})
        )
        self.assertEqual({"civitai": None}, self.result("queue", {})["settings"]["credentials"])

    def test_what_is_no_token_is_refused(self) -> None:
        for params in (
            {"civitai": "two words"},
            {"civitai": "x\r\nHost: evil.example"},
            {"civitai": "x" * 2000},
            {"civitai": 7},
            {"civitai": "ключ"},
            {"elsewhere": "x"},
        ):
            self.assertEqual(400, self.call("credentials", params)[0], params)

    def test_the_models_that_no_loader_would_find_are_told(self) -> None:
        vae = self.comfy.models_dir / "vae"
        vae.mkdir(parents=True)
        (vae / "there.safetensors").write_bytes(b"x")
        models = [
            {"name": "there.safetensors", "directory": "vae", "url": MISSING_URL},
            {
                "name": "vae.safetensors",
                "directory": "vae",
                "url": MISSING_URL,
                "hash": "ab" * 32,
                "hash_type": "SHA256",
            },
            {"name": "x.safetensors", "directory": "nowhere", "url": MISSING_URL},
            {"name": "../x.safetensors", "directory": "vae", "url": MISSING_URL},
            {"name": "no url", "directory": "vae"},
            "nonsense",
        ]
        missing = self.result("missing", {"models": models})
        self.assertEqual(
            ["vae.safetensors", "x.safetensors", "../x.safetensors"],
            [model["name"] for model in missing],
        )
        self.assertEqual("huggingface.co", missing[0]["host"])
        self.assertEqual("ab" * 32, missing[0]["sha256"])
        self.assertIn("no folder", missing[1]["problem"])
        self.assertIn("path", missing[2]["problem"])

    def test_an_error_comes_as_one_sentence(self) -> None:
        self.use_java(
            """
for line in sys.stdin:
    message = json.loads(line)
    answer = {"result": {}}
    if message["method"] != "initialize":
        data = {"kind": "policy", "hint": "Choose another."}
        answer = {"error": {"code": -32000, "message": "Not allowed.", "data": data}}
    print(json.dumps({"jsonrpc": "2.0", "id": message["id"], **answer}), flush=True)
"""
        )
        status, body = self.call("enqueue", {"url": "https://a.example/b", "type": "vae"})
        self.assertEqual(200, status)
        self.assertEqual(
            {"message": "Not allowed. Choose another.", "kind": "policy"}, body["error"]
        )

    def test_a_missing_java_is_told_in_the_panel(self) -> None:
        self.fetching.sidecar_process = self.sidecar_process(
            jar=self.folder / "nowhere.jar", environ={}
        )
        _, body = self.call("queue", {})
        self.assertIn("is missing", body["error"]["message"])

    def test_what_the_owner_should_know_is_told_without_a_process(self) -> None:
        self.use_java("sys.exit(1)")
        self.assertEqual([], self.result("notices", {}))
        other: Any = ModuleType("other_pack")
        other.__file__ = "/packs/other/nodes.py"
        namesake = type("AnymatixFetcher", (), {"__module__": other.__name__})
        with mock.patch.dict(sys.modules, {other.__name__: other}):
            self.comfy.node_classes["AnymatixFetcher"] = namesake
            (notice,) = self.result("notices", {})
            self.assertIn("(/packs/other/nodes.py) has a node AnymatixFetcher too", notice)
            self.assertEqual([notice], self.result("notices", {}))

    def test_pages_hear_that_there_is_something_to_know_and_have_to_ask_what(self) -> None:
        died = self.folder / "died"
        self.use_java(
            f"""
for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "pause" and not os.path.exists({str(died)!r}):
        open({str(died)!r}, "w").close()
        os.kill(os.getpid(), 9)
    print(json.dumps({{"jsonrpc": "2.0", "id": message["id"], "result": {{}}}}), flush=True)
"""
        )
        self.result("pause", {})
        (notice,) = self.result("notices", {})
        self.assertIn("was ended by signal 9", notice)
        self.assertIn(("anymatix.notices", {}, None), self.comfy.messages)

    def test_the_fetches_of_nodes_are_told_beside_the_queue(self) -> None:
        self.use_java(
            """
held = {}
for line in sys.stdin:
    message = json.loads(line)
    answer = {"id": message["id"], "result": {}} if "id" in message else None
    if message["method"] == "fetch":
        value = {"status": "progress", "phase": "fetching", "fileName": "m.safetensors",
            "progress": 0.5, "receivedBytes": 5, "totalBytes": 10, "rate": 2.5, "eta": 2.0}
        told = {"token": message["id"], "value": value}
        answer = {"method": "$/progress", "params": told}
        fetch = message["id"]
    if message["method"] == "pause":
        result = {"path": "/m/m.safetensors", "relativeName": "m.safetensors"}
        print(json.dumps({"jsonrpc": "2.0", "id": fetch, "result": result}), flush=True)
    if answer:
        print(json.dumps({"jsonrpc": "2.0", **answer}), flush=True)
"""
        )
        url = "https://a.example/m.safetensors?token=secret"
        seen = threading.Event()
        self.comfy.on_message = lambda message: seen.set() if message.event == "text" else None
        self.comfy.node_classes.update(self.pack.NODE_CLASS_MAPPINGS)
        node = {"class_type": "AnymatixFetch", "inputs": {"url": url, "type": "checkpoint"}}
        prompt = InThread(lambda: self.comfy.run({"1": node}))
        self.assertTrue(seen.wait(WAIT_SECONDS))
        (item,) = self.result("queue", {})["nodes"]
        self.assertEqual("https://a.example/m.safetensors?token=***", item["url"])
        self.assertEqual(
            ("fetching", 5, 10), (item["phase"], item["receivedBytes"], item["totalBytes"])
        )
        self.result("pause", {})
        self.assertEqual("success", prompt.result().status)
        self.assertEqual([], self.result("queue", {})["nodes"])

    def test_a_reload_takes_over_the_routes_that_are_there(self) -> None:
        self.load_pack()
        self.load_pack()
        self.assertEqual(2, len(self.web.routes.handlers))
        for method, path in self.web.routes.handlers:
            self.assertTrue(path.startswith("/anymatix-fetcher/"), f"{method} {path}")

    def test_outside_of_comfyui_the_pack_loads_without_routes(self) -> None:
        self.comfy.__exit__(None, None, None)
        try:
            self.load_pack()
        finally:
            self.comfy.__enter__()
        self.assertEqual("./web", self.pack.WEB_DIRECTORY)


if __name__ == "__main__":
    unittest.main()
