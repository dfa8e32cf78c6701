"""The distributed form, started anew: every service a process of its own, on loopback, in a database and under a
prefix of its own."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from processes import BenchError, Process, Simulator, simulator, wait_until

KEYS = ("pk_sim", "pk_other")
#: Nothing leaves the machine, so nothing is encrypted.
DATABASE = os.environ.get("DATABASE_URL", "postgres://postgres@127.0.0.1:5432/postgres?sslmode=disable")
BROKER = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def sql(statement: str) -> None:
    subprocess.run(["psql", "-q", "-v", "ON_ERROR_STOP=1", DATABASE, "-c", statement], check=True)


@dataclass
class Ran:
    """How a run went: by its own account, and what Klaviyo accepted of it."""

    run: dict
    imports: list[dict]

    @property
    def span_s(self) -> float:
        """From the first to the last accepted import."""
        times = [it["accepted_at_ms"] for it in self.imports]
        return (max(times) - min(times)) / 1000

    @property
    def throttled(self) -> int:
        return self.run["counts"]["throttled"]


class Services:
    """Two control-planes, workers, two statuses."""

    def __init__(self, segue: Path, folder: Path, klaviyo: Simulator, schema: str, workers: int):
        self._segue, self._folder, self.klaviyo = segue, folder, klaviyo
        separator = "&" if "?" in DATABASE else "?"
        (folder / "source").mkdir()
        (folder / "staging").mkdir()
        for secret in ("master", "token", "admin"):
            file = folder / secret
            file.write_text(os.urandom(32).hex())
            file.chmod(0o600)
        self._environment = {
            "SEGUE_DATABASE_URL": f"{DATABASE}{separator}options[search_path]={schema}",
            "SEGUE_AMQP_URL": BROKER,
            "SEGUE_AMQP_PREFIX": schema,
            "SEGUE_STAGING_URL": f"file://{folder / 'staging'}",
            "SEGUE_SOURCE_DIR": str(folder / "source"),
            "SEGUE_SCRATCH_DIR": str(folder),
            "SEGUE_KLAVIYO_URL": klaviyo.url,
            "SEGUE_MASTER_KEY_FILE": str(folder / "master"),
            "SEGUE_WORKER_TOKEN_FILE": str(folder / "token"),
            "SEGUE_ADMIN_TOKEN_FILE": str(folder / "admin"),
            "SEGUE_LOG": "warn",
        }
        self.processes: dict[str, Process] = {}
        self.metrics: dict[str, int] = {}
        self.cpu_s = 0.0
        self._server = f"http://127.0.0.1:{free_port()}"
        self._status = f"http://127.0.0.1:{free_port()}"
        if self._start("migrate", "migrate").wait().exit_code != 0:
            raise BenchError(self.processes["migrate"].last_words())
        del self.processes["migrate"]
        behind = []
        for nth in (1, 2):
            port, listen = free_port(), self._server.removeprefix("http://")
            if nth == 2:
                listen = f"127.0.0.1:{free_port()}"
            behind.append(f"http://127.0.0.1:{port}")
            self._serve(f"control-plane-{nth}", "control-plane", "--listen", listen, "--worker-listen", f"127.0.0.1:{port}")
        for nth in range(workers):
            self._serve(f"worker-{nth + 1}", "worker", "--control-plane-url", ",".join(behind[nth % 2:] + behind[:nth % 2]))
        for nth in (1, 2):
            listen = self._status.removeprefix("http://") if nth == 1 else f"127.0.0.1:{free_port()}"
            self._serve(f"status-{nth}", "status", "--status-listen", listen)
        for name in self.processes:
            self._await_ready(name)

    def _start(self, name: str, *command: str) -> Process:
        process = Process([self._segue, *command], self._folder / name, self._environment)
        self.processes[name] = process
        return process

    def _serve(self, name: str, *command: str) -> None:
        self.metrics[name] = free_port()
        self._start(name, *command, "--metrics-listen", f"127.0.0.1:{self.metrics[name]}")

    def _await_ready(self, name: str) -> None:
        process = self.processes[name]
        wait_until(lambda: self._ask(name, "/readyz") is not None or not process.running, seconds=60)
        if not process.running or self._ask(name, "/readyz") is None:
            raise BenchError(f"{name} is not ready; {process.last_words()}")

    def _ask(self, name: str, path: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics[name]}{path}", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return None

    def leader(self) -> str:
        """The control-plane that says that it leads."""
        found = None

        def look() -> bool:
            nonlocal found
            for name in self.processes:
                if name.startswith("control-plane"):
                    lines = (self._ask(name, "/metrics") or "").splitlines()
                    if any(line.startswith("segue_leader") and line.endswith(" 1") for line in lines):
                        found = name
            return found is not None

        if not wait_until(look, seconds=30):
            raise BenchError("no control-plane leads")
        return found

    def signal(self, name: str, number: int) -> None:
        os.kill(self.processes[name]._child.pid, number)

    def kill(self, name: str) -> None:
        self.signal(name, signal.SIGKILL)
        self.cpu_s += self.processes.pop(name).wait().cpu_s

    def end(self) -> None:
        for process in self.processes.values():
            if process.running:
                process._child.send_signal(signal.SIGTERM)
        for name, process in self.processes.items():
            used = process.wait()
            self.cpu_s += used.cpu_s
            if used.exit_code != 0:
                raise BenchError(f"{name} ended with {used.exit_code}; {process.last_words()}")
        self.processes.clear()

    def ask(self, *command: str, key: str | None = None) -> dict:
        token = str(self._folder / "admin")
        environment = {**os.environ, "KLAVIYO_API_KEY": key or "", "USER": "bench", "SEGUE_TOKEN_FILE": token}
        servers = ["--server", self._server, "--status-url", self._status, "--output", "json"]
        done = subprocess.run(
            [self._segue, *command, *servers], capture_output=True, text=True, env=environment, check=False
        )
        if done.returncode not in (0, 3):
            raise BenchError(f"segue {' '.join(command)}: {done.stderr}")
        return json.loads(done.stdout) if done.stdout else {}

    def export(self, key: str, sample: Path) -> str:
        """Saves an export of a sample; returns its id."""
        source = self._folder / "source" / sample.name
        if not source.exists():
            os.link(sample, source)  # a symbolic link would lead out of the folder
        connection = self.ask("connections", "create", "--display-name", key, "--accept-consent", key=key)
        return self.ask(
            "exports", "create", "--display-name", key, "--connection", connection["id"],
            "--list", "LIST01", "--segment", sample.name,
            # What is measured is how fast it goes while it is still read.
            "--max-growth", "0", "--max-shrinkage", "0", "--max-rejects", "0",
        )["id"]

    def start(self, export: str) -> str:
        return self.ask("runs", "start", export)["id"]

    def get(self, run: str) -> dict:
        return self.ask("runs", "get", run)

    def wait(self, run: str, rows: int) -> Ran:
        while (found := self.get(run))["ended_at"] is None:
            time.sleep(0.5)
        counts = found["counts"]
        told = sum(counts[name] for name in ("delivered", "rejected", "duplicates"))
        if found["state"] not in ("succeeded", "completed_with_rejects") or told != rows:
            raise BenchError(f"the run did not end truly: {json.dumps(found)}")
        if counts["throttled"]:
            raise BenchError(f"{counts['throttled']} answers of 429")
        imports = self.imports(found["account_id"])
        imported = sum(it["completed"] - it["failed"] for it in imports)
        # What was sent twice was imported twice, and is counted by the run.
        if not counts["repeated_sends"] and imported != counts["delivered"]:
            raise BenchError(f"{imported} were imported; {json.dumps(found)}")
        return Ran(found, imports)

    def imports(self, account: str | None = None) -> list[dict]:
        accounts = self.klaviyo.state()["accounts"]
        return [it for id, one in accounts.items() if account in (None, id) for it in one["imports"]]


@contextmanager
def services(segue: Path, folder: Path, workers: int = 4) -> Iterator[Services]:
    schema = f"segue_bench_{uuid.uuid4().hex[:12]}"
    sql(f"CREATE SCHEMA {schema}")
    with ExitStack() as stack:
        stack.callback(sql, f"SET client_min_messages = warning; DROP SCHEMA {schema} CASCADE")
        klaviyo = stack.enter_context(
            simulator(segue, folder, "--forget-payloads", "--account", f"{KEYS[1]}=OTHER1")
        )
        running = Services(segue, folder, klaviyo, schema, workers)
        try:
            yield running
        finally:
            for process in running.processes.values():
                process.end()
