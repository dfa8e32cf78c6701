"""Processes that are measured, and the simulator that they talk to, which is not."""

import json
import os
import re
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

API_KEY = "pk_sim"
LIST = "LIST01"


class BenchError(Exception):
    """Something did not run truly, so that no figure of it means anything."""


@dataclass(frozen=True)
class Usage:
    """What one process took, its waited-for children included.

    The peak is at least that of this script (some 20 MB): the kernel counts from before `exec`.
    """

    exit_code: int
    wall_s: float
    user_s: float
    system_s: float
    peak_rss_bytes: int

    @property
    def cpu_s(self) -> float:
        return self.user_s + self.system_s

    def as_json(self) -> dict:
        return {**asdict(self), "cpu_s": self.cpu_s}


class Process:
    """A child in a process group of its own. Its output goes to files: pipes could fill up."""

    def __init__(self, command: list[str | Path], folder: Path, environment: dict[str, str]):
        folder.mkdir(parents=True, exist_ok=True)
        self.name = Path(command[0]).name
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"
        kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self.stdout.open("wb") as out, self.stderr.open("wb") as err:
            self.started_at_ms = time.time() * 1000
            self._started = time.monotonic()
            self._child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**kept, **environment},
                process_group=0,
            )

    @property
    def running(self) -> bool:
        # Without reaping: that is left to `wait`, which wants the usage.
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        return self._child.returncode is None and (
            os.waitid(os.P_PID, self._child.pid, flags) is None
        )

    def wait(self) -> Usage:
        _, status, used = os.wait4(self._child.pid, 0)
        self._child.returncode = os.waitstatus_to_exitcode(status)
        return Usage(
            exit_code=self._child.returncode,
            wall_s=time.monotonic() - self._started,
            user_s=used.ru_utime,
            system_s=used.ru_stime,
            peak_rss_bytes=used.ru_maxrss * 1024,
        )

    def end(self) -> None:
        """Asks it to stop, then insists. Does nothing if it was waited for."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if self._child.returncode is not None:
                return
            self._child.send_signal(number)
            if wait_until(lambda: not self.running, seconds=10):
                self.wait()

    def last_words(self) -> str:
        lines = self.stderr.read_text(errors="replace").splitlines()
        return f"{self.name} said:\n  " + "\n  ".join(lines[-15:])


@contextmanager
def running(command: list[str | Path], folder: Path, environment: dict[str, str] | None = None):
    process = Process(command, folder, environment or {})
    try:
        yield process
    finally:
        process.end()


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Whether `condition` came true in time. Looks every 5 ms."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True


class Simulator:
    """A Klaviyo that runs here, as a process whose time nobody counts."""

    def __init__(self, process: Process):
        self._process = process
        heard = wait_until(lambda: self._url() or not process.running, seconds=30)
        self.url = self._url()
        if not heard or not self.url:
            raise BenchError(f"the simulator does not listen; {process.last_words()}")

    def _url(self) -> str | None:
        found = re.search(r"listens on (http://\S+)", self._process.stderr.read_text())
        return found and found.group(1)

    def ask(self, path: str):
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.load(answer)

    def state(self) -> dict:
        return self.ask("/__state")

    def first_import_at_ms(self, after: int = 0) -> int | None:
        """When the head of the first bulk import had arrived, by this machine's clock.

        `after`: how many requests were answered before the one that is meant.
        """
        requests = self.ask("/__requests")[after:]
        imports = (it for it in requests if it["endpoint"] == "import")
        return next((it["at_ms"] for it in imports), None)


@contextmanager
def simulator(segue: Path, folder: Path, *arguments: str) -> Iterator[Simulator]:
    command = [segue, "simulator", "--listen", "127.0.0.1:0", "--key", API_KEY, *arguments]
    with running(command, folder / "simulator") as process:
        yield Simulator(process)


class FolderSize:
    """The most bytes that a folder held while somebody wrote to it, as seen every 0.2 s."""

    def __init__(self, folder: Path):
        self._folder, self._over = folder, threading.Event()
        self.peak_bytes = 0
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "FolderSize":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(0.2):
            self.peak_bytes = max(self.peak_bytes, self._size())

    def _size(self) -> int:
        total = 0
        for folder, _, files in os.walk(self._folder):
            for file in files:
                try:
                    total += os.lstat(os.path.join(folder, file)).st_size
                except FileNotFoundError:
                    pass  # it was forgotten meanwhile
        return total
