"""What is measured. Each section takes a `Bench` and yields figures as they become known."""

import csv
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pace_rule
from exports import Baselines, Exported, batches, by_segue, segue_process
from processes import BenchError, FolderSize, Simulator, running, simulator, wait_until
from services import KEYS, Ran, Services, services

UNLIMITED = ("--no-limits", "--immediate", "--forget-payloads")
WINDOW_PHASES = ("first-request", "wall-clock", "500")
SLOW_MS = 300


Export = Callable[[int, Path, Simulator], Exported]


@dataclass(frozen=True)
class Figure:
    name: str
    value: float
    unit: str
    #: What the project wants of it; empty if it only explains another.
    wanted: str = ""


@dataclass
class Bench:
    """What the sections share: the binary, a folder that goes away, and the sizes."""

    segue: Path
    folder: Path
    baselines: Baselines
    rows: int
    big_rows: int
    repeats: int
    #: Raw results by their name, for the JSON.
    runs: dict[str, dict] = field(default_factory=dict)

    def sample(self, rows: int) -> Path:
        file = self.folder / f"{rows}.csv"
        if not file.exists():
            command = [self.segue, "sample", "--rows", str(rows), file]
            with running(command, self.folder / "sample") as process:
                if process.wait().exit_code != 0:
                    raise BenchError(f"no sample; {process.last_words()}")
        return file

    def plain_sample(self, rows: int) -> Path:
        """The sample for the scripts, which check nothing: the domains as they go over the wire.

        A simulated Klaviyo refuses a whole batch for an address outside ASCII.
        """
        file = self.folder / f"{rows}-plain.csv"
        if not file.exists():
            with self.sample(rows).open(newline="") as source, file.open("w", newline="") as copy:
                reader, writer = csv.reader(source), csv.writer(copy, lineterminator="\n")
                header = next(reader)
                writer.writerow(header)
                email = header.index("email")
                for row in reader:
                    name, at, domain = row[email].rpartition("@")
                    row[email] = name + at + domain.encode("idna").decode("ascii")
                    writer.writerow(row)
        return file

    @contextmanager
    def stand(self, *settings: str) -> Iterator[tuple[Path, Simulator]]:
        """A folder and a simulator that nobody has used yet."""
        with tempfile.TemporaryDirectory(dir=self.folder) as made:
            folder = Path(made)
            with simulator(self.segue, folder, *settings) as at:
                yield folder, at

    def run(
        self,
        name: str,
        export: Export,
        rows: int,
        *settings: str,
    ) -> Exported:
        with self.stand(*settings) as (folder, at):
            exported = export(rows, folder, at)
        self.runs[name] = exported.as_json()
        return exported

    @contextmanager
    def services(self) -> Iterator[Services]:
        """The distributed form, which nobody has used yet."""
        with tempfile.TemporaryDirectory(dir=self.folder) as made:
            with services(self.segue, Path(made)) as at:
                yield at

    def by_segue(self, rows: int, folder: Path, at: Simulator) -> Exported:
        return by_segue(self.segue, self.sample(rows), rows, folder, at)

    def by_node(self, rows: int, folder: Path, at: Simulator) -> Exported:
        return self.baselines.by_node(self.plain_sample(rows), rows, folder, at)

    def by_python(self, rows: int, folder: Path, at: Simulator) -> Exported:
        return self.baselines.by_python(self.plain_sample(rows), rows, folder, at)


def pace(bench: Bench) -> Iterator[Figure]:
    """At Klaviyo's real limits: from the first to the last accepted import."""
    requests = batches(bench.rows)
    bound_s = (requests - 1) / 10

    def measure(name: str, wanted_s: float, *settings: str) -> Iterator[Figure]:
        exported = bench.run(
            f"pace, {name}", bench.by_segue, bench.rows, "--forget-payloads", *settings
        )
        span_s = exported.accepted_span_s
        yield Figure(f"{name}: first to last accepted import", span_s, "s", f"{wanted_s:.1f} × 1.1")
        if wanted_s > 0:
            yield Figure(f"{name}: of what is wanted", span_s / wanted_s, "×", "≤ 1.1")
        yield Figure(f"{name}: answers of 429", exported.state["throttled"], "", "0")

    for phase in WINDOW_PHASES:
        yield from measure(f"windows {phase}", bound_s, "--windows", phase)
    rule_s = pace_rule.span_s(requests, SLOW_MS / 1000)
    yield from measure(f"answers after {SLOW_MS} ms", rule_s, "--slow", str(SLOW_MS))
    yield Figure("what the permit rule gives without delay", pace_rule.span_s(requests), "s")


def cpu(bench: Bench) -> Iterator[Figure]:
    """Limits off: the CPU of a whole export, against scripts on Klaviyo's own SDKs."""
    ways = [("segue", bench.by_segue)] * bench.repeats
    # Between the runs of segue, so that a machine that is slow for a while is slow for all.
    ways[1:1] = [("node", bench.by_node)]
    ways[3:3] = [("python", bench.by_python)]
    taken: dict[str, list[Exported]] = {}
    for name, way in ways:
        nth = len(taken.setdefault(name, [])) + 1
        taken[name].append(bench.run(f"cpu, {name} {nth}", way, bench.rows, *UNLIMITED))
    best = {name: min(runs, key=lambda it: it.usage.cpu_s) for name, runs in taken.items()}
    million = bench.rows / 1e6
    segue_s = best["segue"].usage.cpu_s
    yield Figure("segue: CPU", segue_s, "s", f"≤ {1.5 * million:.2f}")
    yield Figure("segue: of it in the kernel", best["segue"].usage.system_s, "s")
    for name, wanted in (("node", "≥ 9"), ("python", "≥ 60")):
        yield Figure(f"{name}: CPU", best[name].usage.cpu_s, "s")
        yield Figure(f"{name} / segue", best[name].usage.cpu_s / segue_s, "×", wanted)
    for name, exported in best.items():
        yield Figure(f"{name}: wall", exported.usage.wall_s, "s")
        yield Figure(f"{name}: peak memory", exported.usage.peak_rss_bytes / 1e6, "MB")


def start(bench: Bench) -> Iterator[Figure]:
    """From the start of the process to its first bulk import, whatever the size."""
    for rows in (1_000, bench.rows, bench.big_rows):
        for used in (False, True):
            name = f"{rows:,} rows, {'used' if used else 'new'} data folder"
            times = [_first_import_ms(bench, rows, used) for _ in range(bench.repeats)]
            bench.runs[f"start, {name}"] = {"first_import_ms": times}
            yield Figure(f"{name}: first import", statistics.median(times), "ms", "≤ 250")


def _first_import_ms(bench: Bench, rows: int, used: bool) -> float:
    file = bench.sample(rows)
    with bench.stand(*UNLIMITED) as (folder, at):
        if used:
            bench.by_segue(1_000, folder, at)
        before = len(at.ask("/__requests"))
        with segue_process(bench.segue, file, folder / "data", folder / "measured", at) as process:
            sent = lambda: at.first_import_at_ms(after=before)
            wait_until(lambda: sent() or not process.running, seconds=120)
            if not (first := sent()):
                raise BenchError(f"no import was ever sent; {process.last_words()}")
            return first - process.started_at_ms


def big(bench: Bench) -> Iterator[Figure]:
    """Ten times as many rows: memory stays where it is, CPU grows with the rows."""
    spilled = 0

    def watching(rows: int, folder: Path, at: Simulator) -> Exported:
        nonlocal spilled
        with FolderSize(folder / "data" / "scratch") as scratch:
            exported = bench.by_segue(rows, folder, at)
        spilled = scratch.peak_bytes
        return exported

    few = bench.run("big, few before", bench.by_segue, bench.rows, *UNLIMITED)
    many = bench.run("big, many", watching, bench.big_rows, *UNLIMITED)
    # Before and after: the many take minutes, in which a machine may become slower or faster.
    after = bench.run("big, few after", bench.by_segue, bench.rows, *UNLIMITED)
    times = bench.big_rows / bench.rows
    few_s = (few.usage.cpu_s + after.usage.cpu_s) / 2
    ratio = many.usage.cpu_s / few_s
    yield Figure(f"{bench.rows:,} rows: CPU, mean of before and after", few_s, "s")
    yield Figure(f"{bench.big_rows:,} rows: CPU", many.usage.cpu_s, "s")
    yield Figure(f"CPU for {times:g} × the rows", ratio, "×", f"≤ {1.05 * times:g}")
    yield Figure(f"{bench.rows:,} rows: peak memory", few.usage.peak_rss_bytes / 1e6, "MB")
    peak = many.usage.peak_rss_bytes / 1e6
    yield Figure(f"{bench.big_rows:,} rows: peak memory", peak, "MB", "≤ 256")
    yield Figure("identities on disk at most", spilled / 1e6, "MB", "> 0")
    yield Figure(f"{bench.big_rows:,} rows: wall", many.usage.wall_s, "s")


def distributed(bench: Bench) -> Iterator[Figure]:
    """The services apart, over RabbitMQ and PostgreSQL, at Klaviyo's real limits."""
    sample = bench.sample(bench.rows)

    def alone(key: str) -> tuple[Ran, float]:
        with bench.services() as at:
            ran = at.wait(at.start(at.export(key, sample)), bench.rows)
            at.end()
            return ran, at.cpu_s

    several = [alone(KEYS[0]) for _ in range(bench.repeats)]
    for nth, (ran, cpu_s) in enumerate(several, 1):
        bench.runs[f"services, undisturbed {nth}"] = {**ran.run, "cpu_s": cpu_s}
    undisturbed, cpu_s = min(several, key=lambda it: it[1])
    yield Figure("undisturbed: first to last accepted import", undisturbed.span_s, "s")
    yield Figure("undisturbed: answers of 429", undisturbed.throttled, "", "0")
    yield Figure("undisturbed: CPU of all services together", cpu_s, "s", f"≤ {2.5 * bench.rows / 1e6:.2f}")

    with bench.services() as at:
        run = at.start(at.export(KEYS[0], sample))
        _accepted(at, run, bench.rows // 4)
        at.signal("worker-1", signal.SIGSTOP)
        time.sleep(3)
        at.signal("worker-1", signal.SIGCONT)
        _accepted(at, run, bench.rows // 2)
        at.kill(at.leader())
        disturbed = at.wait(run, bench.rows)
        at.end()
    bench.runs["services, disturbed"] = disturbed.run
    yield Figure("one worker stopped for 3 s, leader killed: the same", disturbed.span_s, "s")
    yield Figure("of it more than 1.1 × the undisturbed run: recovery", max(0.0, disturbed.span_s - 1.1 * undisturbed.span_s), "s")
    yield Figure("disturbed: answers of 429", disturbed.throttled, "", "0")

    other, _ = alone(KEYS[1])
    with bench.services() as at:
        exports = [at.export(key, sample) for key in KEYS]
        runs = [at.start(export) for export in exports]
        together = [at.wait(run, bench.rows) for run in runs]
        at.end()
    for name, by_itself, beside in zip(("A", "B"), (undisturbed, other), together):
        bench.runs[f"services, {name} beside the other"] = beside.run
        yield Figure(f"account {name}: beside another / alone", beside.span_s / by_itself.span_s, "×", "≤ 1.1")


def _accepted(at: Services, run: str, rows: int) -> None:
    """Waits until so many rows of a run were accepted."""
    if not wait_until(lambda: sum(it["profiles"] for it in at.imports()) >= rows, seconds=120):
        raise BenchError(f"not even {rows} rows were accepted; {at.get(run)}")


SECTIONS: dict[str, Callable[[Bench], Iterator[Figure]]] = {
    "pace": pace,
    "cpu": cpu,
    "start": start,
    "big": big,
    "distributed": distributed,
}
