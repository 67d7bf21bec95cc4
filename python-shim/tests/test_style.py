"""Types, lint and format of the shim, by the tools that are installed here; none is required."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from support import SHIM

RUFF = ["--isolated", "--no-cache", "--line-length", "100", "--target-version", "py39"]
RULES = "A,B,C4,E,F,I,N,PIE,PL,PT,RET,RUF,SIM,UP,W"
EXCEPTIONS = ",".join(
    [
        "A002,N802,N818,N999",  # names that ComfyUI, the standard library and the layout give
        "PT009,PT027",  # these tests are unittest's
        "PLC2801,PLR2004",  # a test's numbers are read best where they are used
    ]
)


class StyleTest(unittest.TestCase):
    def run_tool(self, *command: str, folder: Path = SHIM) -> None:
        run = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)

    @unittest.skipUnless(importlib.util.find_spec("mypy"), "mypy is not installed")
    def test_types_are_strict(self) -> None:
        # A folder named python-shim is no package to mypy: it is checked under another name.
        with tempfile.TemporaryDirectory() as folder:
            package = Path(folder) / "anymatix_fetcher"
            package.mkdir()
            for source in SHIM.glob("*.py"):
                shutil.copy(source, package)
            shutil.copytree(SHIM / "compat", Path(folder) / "compat")
            tests = shutil.copytree(SHIM / "tests", Path(folder) / "tests")
            mypy = ["mypy", "--strict", "--cache-dir", os.path.join(folder, "cache")]
            self.run_tool(*mypy, "-p", package.name, folder=Path(folder))
            self.run_tool(*mypy, "compat/fetch.py", folder=Path(folder))
            self.run_tool(*mypy, *(test.name for test in tests.glob("*.py")), folder=tests)

    @unittest.skipUnless(importlib.util.find_spec("ruff"), "ruff is not installed")
    def test_lint_finds_nothing(self) -> None:
        self.run_tool("ruff", "check", *RUFF, "--select", RULES, "--ignore", EXCEPTIONS, ".")

    @unittest.skipUnless(importlib.util.find_spec("ruff"), "ruff is not installed")
    def test_the_format_is_ruffs(self) -> None:
        self.run_tool("ruff", "format", *RUFF, "--check", ".")


if __name__ == "__main__":
    unittest.main()
