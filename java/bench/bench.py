#!/usr/bin/env python3
"""Measures the fetcher against aria2c and curl, and prints a Markdown table.

    mvn -q package -DskipTests && python3 java/bench/bench.py [--rounds 5] [--only ROW,ROW]
    mvn -Pbench verify -DskipTests

Everything runs on loopback, in one folder that is removed. Each row's runs are interleaved: ours,
the peer's, ours, the peer's. A figure is the ratio of the medians, ours to the peer's. Every run's
bytes are checked; a run with wrong bytes is a failed run. Ours always includes SHA-256, the forced
write and the sidecar file. The server is nginx where it is installed and a row needs no shaping,
else BenchServer. CPU is user and system time of the client alone; memory its peak resident size.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import importlib
import itertools
import json
import os
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Iterator

ROOT = Path(__file__).resolve().parent.parent.parent
JAR = ROOT / "target" / "anymatix-fetcher.jar"
MIB = 1 << 20
KEPT_BYTES = 64 * MIB
sys.path.insert(0, str(ROOT))
launch = importlib.import_module("python-shim.launch")
java_runtime = importlib.import_module("python-shim.java_runtime")
JVM_FLAGS = list(launch.JVM_FLAGS)
OURS_OPEN = ["--allow-http", "--allow-private-hosts", "--accept-any-content"]
ARIA2 = [
    "aria2c",
    "-x16",
    "-s16",
    "-k1M",
    "--file-allocation=none",
    "--allow-overwrite=true",
    "--check-certificate=false",
    "--console-log-level=error",
    "--summary-interval=0",
    "--no-conf",
    "-q",
]


@dataclass
class Run:
    """What one run cost."""

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float


@dataclass
class Row:
    name: str
    ours: Callable[[], Run]
    peer: Callable[[], Run]
    target: float | None
    cpu_target: float | None = None


class Wrong(Exception):
    """A run whose bytes are not the server's."""


class Scene:
    """A folder with files to serve, the servers, and the ways to fetch from them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.served = folder / "served"
        self.served.mkdir()
        self.out = folder / "out"
        self.left = itertools.count()
        self.sums: dict[str, str] = {}
        self.serve: Serve | None = None

    def make_file(self, name: str, length: int) -> None:
        if name in self.sums:
            return
        digest = hashlib.sha256()
        random.seed(name)
        block = random.randbytes(4 * MIB)
        with open(self.served / name, "wb") as file:
            for number in range(0, length, len(block)):
                piece = (number.to_bytes(8, "big") + block[8:])[: length - number]
                digest.update(piece)
                file.write(piece)
        self.sums[name] = digest.hexdigest()

    def fresh_out(self) -> Path:
        """An empty folder.

        Hundreds of small files are not removed before the end: that keeps the file system busy for
        a while, and the next run would be charged for it.
        """
        if self.out.is_dir():
            length = sum(file.stat().st_size for file in self.out.rglob("*") if file.is_file())
            if length <= KEPT_BYTES:
                self.out.rename(self.folder / f"left{next(self.left)}")
            else:
                shutil.rmtree(self.out)
        self.out.mkdir()
        os.sync()
        return self.out

    def check(self, names: list[str]) -> None:
        """Every file is there with the served bytes, under whatever name."""
        lengths = {(self.served / name).stat().st_size for name in names}
        found = [
            sha256_of(path)
            for path in self.out.rglob("*")
            if path.is_file() and path.stat().st_size in lengths and path.suffix != ".json"
        ]
        if sorted(found) != sorted(self.sums[name] for name in names):
            raise Wrong(f"{names[0]}: wrong bytes")

    # Peers: commands, timed as processes.

    def command(self, *commands: list[str], names: list[str]) -> Run:
        out = self.fresh_out()
        begun = time.monotonic()
        cpu = 0.0
        peak = 0.0
        for command in commands:
            process = subprocess.Popen(
                command, cwd=out, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                raise Wrong(f"{command[0]} ended with {process.returncode}")
            cpu += usage.ru_utime + usage.ru_stime
            peak = max(peak, usage.ru_maxrss / 1024)
        run = Run(time.monotonic() - begun, cpu, peak)
        self.check(names)
        return run

    def fetch_command(self, java: list[str], url: str, name: str) -> Run:
        """By a process that begins with this; ``java`` ends with the jar."""
        ca = ["--ca-file", str(self.folder / "cert.pem")] if url.startswith("https") else []
        return self.command([*java, "fetch", url, "--dir", str(self.out), *ca], names=[name])

    # Ours, warm: a running process that has transferred before.

    def warm(self, requests: list[dict[str, Any]], names: list[str], method: str = "fetch") -> Run:
        assert self.serve is not None
        out = self.fresh_out()
        for request in requests:
            request["dir"] = str(out)
        cpu = self.serve.cpu_seconds()
        begun = time.monotonic()
        if method == "fetch":
            self.serve.call_all("fetch", requests)
        else:
            self.serve.call_all(method, [{"items": requests}])
        run = Run(time.monotonic() - begun, self.serve.cpu_seconds() - cpu, self.serve.peak_mib())
        self.check(names)
        return run

    # The start: to the answer to a ping.

    def class_archive(self) -> Any:
        """The archive of classes as the shim makes it; not there yet."""
        java = shutil.which(java_executable()) or "java"
        environ = {**os.environ, "ANYMATIX_JAVA": java, "ANYMATIX_HOME": str(self.folder / "start")}
        return launch.ClassArchive(java_runtime.find_java(ROOT, environ), JAR, environ)

    def start(self, command: list[str]) -> Run:
        environ = launch.environment({**os.environ, "ANYMATIX_HOME": str(self.folder / "start")})
        begun = time.monotonic()
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environ
        )
        assert process.stdin and process.stdout
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 1, "method": "ping"}\n')
        process.stdin.flush()
        answer = process.stdout.readline()
        elapsed = time.monotonic() - begun
        process.stdin.close()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if b"pong" not in answer:
            raise Wrong(f"the answer to a ping was {answer!r}")
        return Run(elapsed, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def sha256_of(path: Path) -> str:
    """In parts: what this process once held counts as the first memory of those that it starts."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


class Serve:
    """A running sidecar process."""

    def __init__(self, folder: Path, ca_file: Path) -> None:
        self._process = subprocess.Popen(
            [java_executable(), *JVM_FLAGS, "-jar", str(JAR), "serve", *OURS_OPEN,
             "--ca-file", str(ca_file), "--log-level", "error"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env=launch.environment({**os.environ, "ANYMATIX_HOME": str(folder / "home")}),
            text=True,
        )  # fmt: skip
        self._id = 0
        self.call_all("initialize", [{"modelsDir": str(folder / "out")}])

    def call_all(self, method: str, params: list[dict[str, Any]]) -> list[Any]:
        assert self._process.stdin and self._process.stdout
        waiting = set()
        for each in params:
            self._id += 1
            waiting.add(self._id)
            message = {"jsonrpc": "2.0", "id": self._id, "method": method, "params": each}
            self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        results = []
        while waiting:
            answer = json.loads(self._process.stdout.readline())
            if answer.get("id") in waiting:
                waiting.remove(answer["id"])
                if "error" in answer:
                    raise Wrong(answer["error"]["message"])
                results.append(answer["result"])
        return results

    def watch(self, params: list[dict[str, Any]], seconds: float) -> list[list[tuple[float, int]]]:
        """What fetches report for some seconds, as times and bytes; they are cancelled then."""
        assert self._process.stdin and self._process.stdout
        samples: dict[int, list[tuple[float, int]]] = {}
        for each in params:
            self._id += 1
            samples[self._id] = []
            message = {
                "id": self._id,
                "method": "fetch",
                "params": {**each, "progressToken": self._id},
            }
            self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
        self._process.stdin.flush()
        begun = time.monotonic()
        cancelled = False
        waiting = set(samples)
        while waiting:
            message = json.loads(self._process.stdout.readline())
            now = time.monotonic() - begun
            if message.get("method") == "$/progress":
                told = message["params"]
                samples[told["token"]].append((now, told["value"]["receivedBytes"]))
            elif message.get("id") in waiting:
                waiting.remove(message["id"])
            if now > seconds and not cancelled:
                cancelled = True
                for number in waiting:
                    message = {"method": "$/cancelRequest", "params": {"id": number}}
                    self._process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
                self._process.stdin.flush()
        return list(samples.values())

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mib(self, key: str) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(key))
        return int(line.split()[1]) / 1024

    def peak_mib(self) -> float:
        return self.memory_mib("VmHWM")

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(10)


def java_executable() -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / "java") if home else "java"


@contextlib.contextmanager
def shaped_server(scene: Scene) -> Iterator[str]:
    process = subprocess.Popen(
        [java_executable(), "-Xmx128m", str(ROOT / "java" / "bench" / "BenchServer.java"),
         str(scene.served)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin and process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)


@contextlib.contextmanager
def nginx_server(scene: Scene) -> Iterator[tuple[str, str]]:
    """Addresses over HTTP and over TLS."""
    port = 20000 + os.getpid() % 20000
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(scene.folder / "key.pem"),
         "-out", str(scene.folder / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    config = scene.folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    config.write_text(
        f"""{user} worker_processes 2; pid {scene.folder}/nginx.pid; error_log {scene.folder}/nginx.log;
daemon off; worker_rlimit_nofile 4096;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000;
client_body_temp_path {scene.folder}/t1; proxy_temp_path {scene.folder}/t2;
fastcgi_temp_path {scene.folder}/t3; uwsgi_temp_path {scene.folder}/t4; scgi_temp_path {scene.folder}/t5;
server {{ listen 127.0.0.1:{port}; root {scene.served}; }}
server {{ listen 127.0.0.1:{port + 1} ssl http2; ssl_certificate {scene.folder}/cert.pem;
ssl_certificate_key {scene.folder}/key.pem; root {scene.served}; }} }}
"""
    )
    process = subprocess.Popen(["nginx", "-p", str(scene.folder), "-c", str(config)])
    time.sleep(0.5)
    try:
        yield f"http://localhost:{port}", f"https://localhost:{port + 1}"
    finally:
        process.terminate()
        process.wait(10)


def openssl_digest(name: str) -> list[str]:
    return ["openssl", "dgst", "-sha256", name]


def rows(scene: Scene, http: str, tls: str, shaped: str) -> Iterator[Row]:
    def aria2(url: str) -> list[str]:
        return [*ARIA2, url]

    def warm(url: str, name: str) -> Callable[[], Run]:
        return lambda: scene.warm([{"url": url}], [name])

    def peer(name: str, *commands: list[str]) -> Callable[[], Run]:
        return lambda: scene.command(*commands, names=[name])

    gib = "gib.bin"
    scene.make_file(gib, 1024 * MIB)
    plain, secure = f"{http}/{gib}", f"{tls}/{gib}"
    digest = openssl_digest(gib)
    yield Row("http-verified", warm(plain, gib), peer(gib, aria2(plain), digest), 0.40)
    sync = ["sync", gib]
    yield Row("http-forced", warm(plain, gib), peer(gib, aria2(plain), sync, digest), None)
    yield Row("http-aria2", warm(plain, gib), peer(gib, aria2(plain)), 0.60, cpu_target=0.90)
    yield Row("http-curl", warm(plain, gib), peer(gib, ["curl", "-sO", plain]), 0.85)
    yield from fresh_rows(scene, "http-fresh", plain, gib, 0.60)
    yield Row("tls-verified", warm(secure, gib), peer(gib, aria2(secure), digest), 0.55)
    yield Row("tls-aria2", warm(secure, gib), peer(gib, aria2(secure)), None, cpu_target=1.15)
    yield from fresh_rows(scene, "tls-fresh", secure, gib, 0.85)

    half = "half.bin"
    scene.make_file(half, 512 * MIB)
    each20, late, pipe = (f"{shaped}/{shape}/{half}" for shape in ("each20", "late", "pipe"))
    sixteen = lambda: scene.warm([{"url": each20, "connections": 16}], [half])  # noqa: E731
    yield Row("each20-16", sixteen, peer(half, aria2(each20)), 0.92)
    yield Row("each20-adaptive", warm(each20, half), peer(half, aria2(each20)), 0.60)
    yield Row("late-and-slow", warm(late, half), peer(half, aria2(late)), 0.90)
    yield Row("one-pipe", warm(pipe, half), peer(half, ["curl", "-sO", pipe]), 1.01)

    four = [f"quarter{i}.bin" for i in range(4)]
    for name in four:
        scene.make_file(name, 256 * MIB)
    urls = [f"{http}/{name}" for name in four]
    yield Row(
        "four-at-once",
        lambda: scene.warm([{"url": url} for url in urls], four),
        lambda: scene.command(
            [*ARIA2, "-Z", "-j4", *urls], ["openssl", "dgst", "-sha256", *four], names=four
        ),
        0.45,
    )
    many = [f"small{i}.bin" for i in range(200)]
    for name in many:
        scene.make_file(name, 100_000)
    far = [f"{shaped}/far/{name}" for name in many]
    yield Row(
        "small-files",
        lambda: scene.warm([{"url": url} for url in far], many, "fetchAll"),
        lambda: scene.command([*ARIA2, "-Z", "-j16", *far], names=many),
        0.70,
    )


def fresh_rows(scene: Scene, name: str, url: str, file: str, target: float) -> Iterator[Row]:
    """A process for one file: as typed, and as the shim starts one, at first and later on."""
    archive = scene.class_archive()
    by_the_shim = [java_executable(), *JVM_FLAGS, "-jar", str(JAR)]

    def peer() -> Run:
        return scene.command([*ARIA2, url], openssl_digest(file), names=[file])

    def archived() -> Run:
        if not archive.path().exists():
            archive.make()
        *java, _ = archive.command()
        return scene.fetch_command(java, url, file)

    typed = [java_executable(), "-jar", str(JAR)]
    yield Row(f"{name}-plain", lambda: scene.fetch_command(typed, url, file), peer, target)
    yield Row(name, lambda: scene.fetch_command(by_the_shim, url, file), peer, target)
    yield Row(f"{name}-archive", archived, peer, target)


def start_rows(scene: Scene) -> Iterator[Row]:
    """The start of the sidecar process against that of Python with two usual libraries."""
    imports = [sys.executable, "-c", "import requests, aiohttp"]
    if subprocess.run(imports, stderr=subprocess.DEVNULL, check=False).returncode:
        print("No start rows: they need `pip install requests aiohttp` in this Python.")
        return
    archive = scene.class_archive()

    def peer() -> Run:
        return scene.command(imports, names=[])

    def archived() -> Run:
        if not archive.path().exists():
            archive.make()
        return scene.start(archive.command())

    plain = [java_executable(), "-jar", str(JAR), "serve"]
    by_the_shim = [java_executable(), *JVM_FLAGS, "-jar", str(JAR), "serve"]
    yield Row("start-plain", lambda: scene.start(plain), peer, 1.3)
    yield Row("start", lambda: scene.start(by_the_shim), peer, 1.3)
    yield Row("start-archive", archived, peer, 1.0)


def round_trips(scene: Scene, http: str) -> str:
    """A ping, and a fetch of a file that is there, one after the other, of a warm process."""
    assert scene.serve is not None
    scene.make_file("small.bin", 100_000)
    fetch = {"url": f"{http}/small.bin", "dir": str(scene.fresh_out())}
    scene.serve.call_all("fetch", [fetch])

    def median_millis(method: str, params: dict[str, Any]) -> float:
        assert scene.serve is not None
        taken = []
        for _ in range(1000):
            begun = time.perf_counter()
            scene.serve.call_all(method, [params])
            taken.append((time.perf_counter() - begun) * 1000)
        return statistics.median(taken[500:])

    ping, present = median_millis("ping", {}), median_millis("fetch", fetch)
    return (
        f"Round trips, medians: ping {ping:.2f} ms (at most 0.5),"
        f" fetch of a present file {present:.2f} ms (at most 1)."
    )


def memory(scene: Scene, http: str, tls: str) -> str:
    """Resident memory of a process of its own: at most, and a minute after its last download."""
    scene.make_file("gib.bin", 1024 * MIB)
    serve = Serve(scene.folder, scene.folder / "cert.pem")
    try:
        for url in (f"{http}/gib.bin", f"{tls}/gib.bin"):
            out = scene.fresh_out()
            serve.call_all("fetch", [{"url": url, "dir": str(out), "connections": 16}])
        peak = serve.peak_mib()
        time.sleep(60)
        idle = serve.memory_mib("VmRSS")
    finally:
        serve.close()
    return (
        f"Resident memory, 1 GiB by 16 connections, HTTP and TLS: at most {peak:.0f} MiB"
        f" (target 125), {idle:.0f} MiB a minute later (target 90)."
    )


def one_after_another(scene: Scene, shaped: str, rounds: int) -> str:
    """A batch of four files against the same, one file at a time, over capped connections."""
    names = [f"part{i}.bin" for i in range(4)]
    for name in names:
        scene.make_file(name, 64 * MIB)

    def batch(files_at_a_time: int) -> float:
        assert scene.serve is not None
        out = scene.fresh_out()
        items = [
            {"url": f"{shaped}/each20/{name}", "dir": str(out), "connections": 4} for name in names
        ]
        begun = time.monotonic()
        scene.serve.call_all("fetchAll", [{"items": items, "maxParallelFiles": files_at_a_time}])
        elapsed = time.monotonic() - begun
        scene.check(names)
        return elapsed

    pairs = [(batch(4), batch(1)) for _ in range(rounds)]
    ratio = statistics.median(a for a, _ in pairs) / statistics.median(b for _, b in pairs)
    return f"Four files of 64 MiB, four connections of 20 MB/s for each: together {ratio:.2f} of one after another."


def limited(scene: Scene, shaped: str) -> str:
    """Two files under one limit, by 1 and by 16 connections, in windows of 5 s."""
    assert scene.serve is not None
    limit = 20_000_000
    scene.make_file("half.bin", 512 * MIB)
    scene.make_file("other.bin", 512 * MIB)
    out = scene.fresh_out()
    scene.serve.call_all("setOptions", [{"maxBytesPerSecond": limit}])
    requests = [
        {"url": f"{shaped}/plain/{name}", "dir": str(out), "connections": connections}
        for name, connections in (("half.bin", 1), ("other.bin", 16))
    ]
    samples = scene.serve.watch(requests, 12)
    scene.serve.call_all("setOptions", [{"maxBytesPerSecond": 0}])

    def received(sample: list[tuple[float, int]], moment: float) -> float:
        """Between the two reports around a moment."""
        later = next(i for i, (at, _) in enumerate(sample) if at >= moment)
        (t0, b0), (t1, b1) = sample[later - 1], sample[later]
        return b0 + (b1 - b0) * (moment - t0) / (t1 - t0)

    told = []
    for begin in (1.0, 6.0):
        shares = [received(each, begin + 5) - received(each, begin) for each in samples]
        told.append(f"{sum(shares) / 5 / limit:.3f} of it, shared {shares[0] / sum(shares):.2f}")
    return (
        "A limit of 20 MB/s over two files, by 1 and by 16 connections, in windows of 5 s: "
        + "; ".join(told)
        + "."
    )


def measured(row: Row, rounds: int) -> tuple[str, bool]:
    ours: list[Run] = []
    peers: list[Run] = []
    row.ours()
    for _ in range(rounds):
        ours.append(row.ours())
        peers.append(row.peer())

    def median(runs: list[Run], what: str) -> float:
        return statistics.median(getattr(run, what) for run in runs)

    wall, cpu = (
        median(ours, what) / max(median(peers, what), 0.001)
        for what in ("wall_seconds", "cpu_seconds")
    )
    line = (
        f"| {row.name} | {median(ours, 'wall_seconds'):.2f} | {median(peers, 'wall_seconds'):.2f}"
        f" | {judged(wall, row.target)} | {judged(cpu, row.cpu_target)}"
        f" | {median(ours, 'peak_mib'):.0f} |"
    )
    held = wall <= (row.target or wall) and cpu <= (row.cpu_target or cpu)
    return line, held


def judged(ratio: float, target: float | None) -> str:
    return f"{ratio:.2f}" if target is None else f"{ratio:.2f} (at most {target:.2f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="rows, by name, comma between")
    args = parser.parse_args()
    only = set(filter(None, args.only.split(",")))
    if not JAR.is_file():
        sys.exit("Build the jar first: mvn -q package -DskipTests")
    for tool in ("aria2c", "curl", "nginx", "openssl"):
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed; the benchmark needs it.")
    misses = []
    with (
        tempfile.TemporaryDirectory(prefix="anymatix-bench-") as name,
        contextlib.ExitStack() as open_,
    ):
        scene = Scene(Path(name))
        http, tls = open_.enter_context(nginx_server(scene))
        shaped = open_.enter_context(shaped_server(scene))
        scene.serve = Serve(scene.folder, scene.folder / "cert.pem")
        open_.callback(scene.serve.close)
        print(f"{platform.platform()}, {os.cpu_count()} cores, {versions()}")
        print("| row | ours, s | peer, s | wall ratio | CPU ratio | peak MiB |")
        print("|---|---|---|---|---|---|", flush=True)
        for row in itertools.chain(rows(scene, http, tls, shaped), start_rows(scene)):
            if only and row.name not in only:
                continue
            line, held = measured(row, args.rounds)
            print(line, flush=True)
            if not held:
                misses.append(row.name)
        if not only or "round-trips" in only:
            print(round_trips(scene, http), flush=True)
        if not only or "memory" in only:
            print(memory(scene, http, tls), flush=True)
        if not only or "batch" in only:
            print(one_after_another(scene, shaped, args.rounds), flush=True)
        if not only or "limit" in only:
            print(limited(scene, shaped), flush=True)
    print("Missed: " + ", ".join(misses) if misses else "All targets held.")
    return 0


def versions() -> str:
    told = []
    for command in (
        [java_executable(), "-version"],
        ["aria2c", "--version"],
        ["curl", "--version"],
    ):
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        told.append((run.stdout or run.stderr).splitlines()[0].split(" (")[0])
    return ", ".join(told)


if __name__ == "__main__":
    sys.exit(main())
