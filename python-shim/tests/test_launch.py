"""How Java is started: its environment, and the archive of classes that lets it start faster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path
from typing import Any
from unittest import mock

from support import (
    JAR,
    SHIM,
    WAIT_SECONDS,
    InThread,
    ShimTestCase,
    environment,
    fake_java,
    part_of_pack,
    require_jar,
)

PING = b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n'
PONG = {"jsonrpc": "2.0", "id": 1, "result": "pong"}


class EnvironmentTest(ShimTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.launch = part_of_pack(self.pack, "launch")

    @unittest.skipUnless(sys.platform == "linux", "elsewhere Java does not ask the locale")
    def test_java_can_form_every_file_name_whatever_the_locale(self) -> None:
        with_utf8_file_names = self.launch.with_utf8_file_names
        c_locale = {"LANG": "C", "PATH": "/bin"}
        self.assertEqual(with_utf8_file_names(c_locale), {**c_locale, "LC_ALL": "C.UTF-8"})
        self.assertEqual(with_utf8_file_names({}), {"LC_ALL": "C.UTF-8"})
        german = {"LANG": "de_DE.UTF-8"}
        self.assertEqual(with_utf8_file_names(german), german)

    def test_the_owner_decides_on_pools_of_native_memory(self) -> None:
        self.assertEqual(self.launch.environment({})["MALLOC_ARENA_MAX"], "2")
        own = {"MALLOC_ARENA_MAX": "8"}
        self.assertEqual(self.launch.environment(own)["MALLOC_ARENA_MAX"], "8")

    @unittest.skipUnless(sys.platform == "linux", "each platform has its own folder")
    def test_the_home_folder_is_that_of_the_sidecar_process(self) -> None:
        home_folder = self.launch.home_folder
        self.assertEqual(home_folder({"ANYMATIX_HOME": "/h"}), Path("/h"))
        self.assertEqual(home_folder({"XDG_STATE_HOME": "/s"}), Path("/s/anymatix-fetcher"))
        user = Path(os.path.expanduser("~"))
        self.assertEqual(home_folder({}), user / ".local" / "state" / "anymatix-fetcher")


@unittest.skipIf(sys.platform == "win32", "the stand-in Javas are scripts")
class MakingTest(ShimTestCase):
    """When an archive is made, with a Java that only looks like one."""

    def setUp(self) -> None:
        super().setUp()
        self.launch = part_of_pack(self.pack, "launch")
        self.launch._QUIET_SECONDS = 0.01
        self.jar = self.folder / "some.jar"
        self.jar.write_bytes(b"PK\x05\x06" + bytes(18))  # a zip file without entries

    def archive(self, body: str, version: int = 17) -> Any:
        java = fake_java(self.folder / f"java-{version}", body)
        modules = java.parent.parent / "lib" / "modules"
        modules.parent.mkdir()
        modules.write_bytes(b"")
        runtime = part_of_pack(self.pack, "java_runtime").JavaRuntime(java, version, "a test")
        archive = self.launch.ClassArchive(runtime, self.jar, environment(self.folder / "state"))
        self.addCleanup(archive.stop)
        return archive

    WRITES_AN_ARCHIVE = """
        for word in sys.argv:
            name, _, file = word.partition("=")
            if name in ("-XX:DumpLoadedClassList", "-XX:SharedArchiveFile",
                        "-XX:AOTConfiguration", "-XX:AOTCache"):
                open(file, "w").close()
        print('{"method": "$/progress", "params": {"value": {"phase": "waiting"}}}', flush=True)
        sys.stdin.read()
        """

    def test_it_is_made_when_nothing_is_asked_for_and_used_from_then_on(self) -> None:
        archive = self.archive(self.WRITES_AN_ARCHIVE)
        plain = archive.command()
        answers = iter([False, False, True])
        asked_for_it = []

        def is_quiet() -> bool:
            asked_for_it.append(archive.path().exists())
            return next(answers)

        archive.make_when_quiet(is_quiet)
        self.logs.wait_for("Java will start faster from now on")
        self.assertEqual(asked_for_it, [False, False, False])
        flag = f"-XX:SharedArchiveFile={archive.path()}"
        self.assertEqual([word for word in archive.command() if word not in plain], [flag])
        self.assertEqual([file.name for file in archive.path().parent.iterdir()],
                         [archive.path().name])  # fmt: skip
        self.assertEqual(archive.path().parent.stat().st_mode & 0o077, 0)

    def test_from_java_25_on_it_is_an_aot_cache(self) -> None:
        for version, option in ((24, "SharedArchiveFile"), (25, "AOTCache"), (26, "AOTCache")):
            with self.subTest(version=version):
                archive = self.archive(self.WRITES_AN_ARCHIVE, version)
                archive.make()
                self.assertIn(f"-XX:{option}={archive.path()}", archive.command())

    def test_a_java_that_writes_none_is_told_and_leaves_nothing(self) -> None:
        archive = self.archive("sys.stdin.readline()\nsys.exit(3)")
        archive.make_when_quiet(lambda: True)
        self.logs.wait_for("ended with 3")
        self.assertEqual(list(archive.path().parent.iterdir()), [])

    def test_the_end_of_comfyui_does_not_wait_for_it(self) -> None:
        started = self.folder / "started"
        archive = self.archive(f"open({str(started)!r}, 'w').close()\nthreading.Event().wait()")
        making = InThread(archive.make)
        deadline = time.monotonic() + WAIT_SECONDS
        while not started.exists() and time.monotonic() < deadline:
            threading.Event().wait(0.01)
        archive.stop()
        with self.assertRaises(self.launch.ArchiveError):
            making.result()
        self.assertEqual(list(archive.path().parent.iterdir()), [])

    def test_another_virtual_machine_gets_no_flags_of_hotspots(self) -> None:
        archive = self.archive("")
        release = self.folder / "java-17" / "release"
        release.write_text(release.read_text() + 'JVM_VARIANT="Openj9"\n')
        java = str(self.folder / "java-17" / "bin" / "java")
        expected = [java, "-Xmx256m", "-jar", str(self.jar), "serve"]
        self.assertEqual(archive.command(), expected)

    def test_each_jar_and_each_java_has_its_own(self) -> None:
        archive = self.archive("")
        first = archive.path()
        os.utime(self.jar, (1, 1))
        second = archive.path()
        self.assertNotEqual(first, second)
        (self.folder / "java-17" / "lib" / "modules").write_bytes(b"newer")
        self.assertNotIn(archive.path(), (first, second))

    def test_what_was_not_used_for_long_is_removed(self) -> None:
        archive = self.archive(self.WRITES_AN_ARCHIVE)
        folder = archive.path().parent
        abandoned = folder / "making-x" / "archive"
        abandoned.parent.mkdir(parents=True)
        for name, age_days in (("old.jsa", 100), ("new.jsa", 1)):
            (folder / name).write_bytes(b"")
            os.utime(folder / name, (time.time() - age_days * 86400,) * 2)
        os.utime(abandoned.parent, (1, 1))
        archive.make()
        self.assertEqual(
            sorted(file.name for file in folder.iterdir()),
            sorted(["new.jsa", archive.path().name]),
        )


class RealArchiveTest(ShimTestCase):
    """Archives of the real jar, for the Java that the tests run with."""

    def setUp(self) -> None:
        super().setUp()
        require_jar()
        self.launch = part_of_pack(self.pack, "launch")
        self.environ = environment(self.folder / "state")
        java = part_of_pack(self.pack, "java_runtime").find_java(SHIM, self.environ)
        self.archive = self.launch.ClassArchive(java, JAR, self.environ)

    def ping(self, *more_flags: str) -> None:
        """A start by the shim's own command line, whose standard output is one answer."""
        words = self.archive.command()
        flags = words.index("-jar")
        run = subprocess.run(
            [*words[:flags], *more_flags, *words[flags:]],
            input=PING,
            capture_output=True,
            env=self.launch.environment(self.environ),
            timeout=WAIT_SECONDS,
            check=True,
        )
        self.assertEqual(json.loads(run.stdout), PONG)

    def sources(self, log: Path) -> dict[str, str]:
        """Where each class that was loaded came from."""
        loaded = {}
        for line in log.read_text("utf-8", "replace").splitlines():
            name, separator, source = line.partition(" source: ")
            if separator:
                loaded[name.split()[-1]] = source
        return loaded

    def test_the_classes_of_a_start_come_from_the_archive_unless_it_was_cut(self) -> None:
        with mock.patch("shutil.which", return_value=None):  # not as nice as to wait for others
            self.archive.make()
        log = self.folder / "classes.log"
        self.ping(f"-Xlog:class+load:file={log}")
        sources = self.sources(log)
        from_jar = [name for name, source in sources.items() if JAR.name in source]
        self.assertLess(len(from_jar), 30, from_jar)
        self.assertGreater(len(sources), 1000)
        path = self.archive.path()
        whole = path.read_bytes()
        path.unlink()
        path.write_bytes(whole[: len(whole) // 2])
        self.ping()

    def test_an_archive_that_is_broken_hinders_nothing(self) -> None:
        path = self.archive.path()
        path.parent.mkdir(parents=True)
        for content in (b"", b"\0" * 100_000, os.urandom(100_000)):
            path.write_bytes(content)
            self.ping()


if __name__ == "__main__":
    unittest.main()
