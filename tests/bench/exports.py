"""One export by each of the three ways that are compared, checked before any figure of it is used."""

import hashlib
import json
import math
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from processes import API_KEY, LIST, BenchError, Process, Simulator, Usage, running

HERE = Path(__file__).resolve().parent
BATCH = 10_000


@dataclass(frozen=True)
class Exported:
    """An export that did what it says."""

    usage: Usage
    report: dict
    #: Of the simulator, when the export had ended.
    state: dict

    @property
    def imports(self) -> list[dict]:
        return [it for account in self.state["accounts"].values() for it in account["imports"]]

    @property
    def accepted_span_s(self) -> float:
        """From the first to the last accepted import."""
        times = [it["accepted_at_ms"] for it in self.imports]
        return (max(times) - min(times)) / 1000

    def as_json(self) -> dict:
        return {"usage": self.usage.as_json(), "report": self.report}


def batches(rows: int) -> int:
    return math.ceil(rows / BATCH)


def segue_process(segue: Path, file: Path, data: Path, folder: Path, at: Simulator):
    command = [
        *(segue, "export", file, "--list", LIST, "--yes"),
        *("--data", data, "--report", folder / "report.json"),
    ]
    environment = {"KLAVIYO_API_KEY": API_KEY, "SEGUE_KLAVIYO_URL": at.url}
    return running(command, folder / "segue", environment)


def by_segue(segue: Path, file: Path, rows: int, folder: Path, at: Simulator) -> Exported:
    with segue_process(segue, file, folder / "data", folder, at) as process:
        usage = process.wait()
        return _checked_segue(process, usage, rows, folder / "report.json", at)


def _checked_segue(
    process: Process, usage: Usage, rows: int, report_file: Path, at: Simulator
) -> Exported:
    if usage.exit_code not in (0, 3):
        raise BenchError(f"segue ended with {usage.exit_code}; {process.last_words()}")
    report, state = json.loads(report_file.read_text()), at.state()
    parts = ("delivered", "rejected", "duplicates", "unchanged", "suppressed", "undelivered")
    # Not the members of the list: the few numbers that belong to nobody are shared by many people of
    # a sample, and who shares a number with somebody is the same profile to Klaviyo.
    imports = Exported(usage, report, state).imports
    imported = sum(it["completed"] - it["failed"] for it in imports)
    truths = {
        "it ended well": report["state"] in ("succeeded", "completed_with_rejects"),
        "it read every row": report["rows_read"] == rows,
        "it accounts for every row": sum(report[part] for part in parts) == rows,
        "nothing is undelivered": report["undelivered"] == 0,
        "what was delivered was imported": imported == report["delivered"],
        "it was never throttled": report["throttled"] == state["throttled"] == 0,
    }
    _insist(truths, report)
    return Exported(usage, report, state)


def _insist(truths: dict[str, bool], report: dict) -> None:
    false = [truth for truth, holds in truths.items() if not holds]
    if false:
        raise BenchError(f"not true of an export: {'; '.join(false)}; its report: {report}")


class Baselines:
    """The scripts on Klaviyo's own SDKs. Their packages are installed once, outside the tree."""

    def __init__(self, cache: Path):
        self._cache = cache

    @cached_property
    def _node(self) -> list[str | Path]:
        """The script must stand beside its packages: that is how Node finds them."""
        if not shutil.which("npm"):
            raise BenchError("the Node baseline needs node and npm")
        source = HERE / "node"
        packages = [source / "package.json", source / "package-lock.json"]
        home = self._home("node", packages)
        if not (home / "ready").exists():
            for file in packages:
                shutil.copy(file, home)
            _install(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], home)
        shutil.copy(source / "export.mjs", home)
        return ["node", home / "export.mjs"]

    @cached_property
    def _python(self) -> list[str | Path]:
        requirements = HERE / "python" / "requirements.txt"
        home = self._home(f"python{sys.version_info.minor}", [requirements])
        python = home / "venv" / "bin" / "python"
        if not (home / "ready").exists():
            venv.create(home / "venv", clear=True, with_pip=True)
            pip = [python, "-m", "pip", "install", "--disable-pip-version-check"]
            _install([*pip, "--requirement", requirements], home)
        return [python, HERE / "python" / "export.py"]

    def _home(self, name: str, pinned_by: list[Path]) -> Path:
        digest = hashlib.sha256(b"".join(file.read_bytes() for file in pinned_by))
        home = self._cache / f"{name}-{digest.hexdigest()[:12]}"
        home.mkdir(parents=True, exist_ok=True)
        return home

    def by_node(self, file: Path, rows: int, folder: Path, at: Simulator) -> Exported:
        return self._run(self._node, file, rows, folder, at)

    def by_python(self, file: Path, rows: int, folder: Path, at: Simulator) -> Exported:
        return self._run(self._python, file, rows, folder, at)

    def _run(
        self, script: list[str | Path], file: Path, rows: int, folder: Path, at: Simulator
    ) -> Exported:
        command = [*script, "--file", file, "--list", LIST, "--base-url", at.url]
        with running(command, folder / "script", {"KLAVIYO_API_KEY": API_KEY}) as process:
            usage = process.wait()
            if usage.exit_code != 0:
                raise BenchError(f"{script[-1]} failed; {process.last_words()}")
            exported = Exported(usage, json.loads(process.stdout.read_text()), at.state())
        truths = {
            "it sent every row": exported.report["rows"] == rows,
            "in batches of 10,000": exported.report["batches"] == batches(rows),
            "each was accepted": len(exported.imports) == batches(rows),
            "and sent once": exported.report["requests"] == batches(rows),
        }
        _insist(truths, exported.report)
        return exported


def _install(command: list[str | Path], home: Path) -> None:
    done = subprocess.run(command, cwd=home, capture_output=True, text=True)
    if done.returncode != 0:
        raise BenchError(f"{command[0]} cannot install into {home}:\n{done.stderr}")
    (home / "ready").touch()
