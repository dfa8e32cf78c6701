"""Measures what Segue promises about speed and memory. Called by `make bench`.

    python3 tests/bench/bench.py --segue target/release/segue [--only cpu] [--quick] [--json FILE]

Whatever is compared runs on the same file, on the same machine, one after the other in the same run.
Nothing here passes or fails by how long it took: the wanted value stands beside each figure, and who
reads both knows how busy the machine was (the load is printed too). The bench fails only when something
did not run truly: an export that lost a row, was throttled at Klaviyo's real limits, or sent a batch twice.

Sections:

- `pace`   at Klaviyo's limits, with the windows of the limits in three phases, and with slow answers;
           beside it what the permit rule gives at best.
- `cpu`    limits off: a whole export, against scripts on Klaviyo's own Node and Python SDKs.
- `start`  from the start of the process to the first bulk import, whatever the size.
- `big`    ten times as many rows: peak memory, CPU, and what deduplication spilled.

CPU is user and system time of the process itself and peak memory its largest resident set, both from the
kernel (`wait4`). The simulated Klaviyo is a process of its own that is not counted. "Limits off" means that
it answers no request with 429 and is done with each at once; Segue keeps its pace there all the same, which
costs time but no CPU, so `big` takes some seven minutes.

Only the standard library is needed; node, npm and Python's venv for the scripts, whose packages are installed
once into `$XDG_CACHE_HOME/segue/bench`. Samples are made in a folder that is removed in the end: 10 M rows
take 1.2 GB, and as much again may be staged.
"""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True  # before the modules beside this one

from exports import Baselines  # noqa: E402
from processes import BenchError  # noqa: E402
from sections import SECTIONS, Bench, Figure  # noqa: E402


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--segue", type=Path, required=True, metavar="BINARY")
    parser.add_argument("--rows", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--only", action="append", choices=SECTIONS, help="may be repeated")
    parser.add_argument("--quick", action="store_true", help="small and once: does it run at all?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="figures and raw results")
    parser.add_argument("--tmp", type=Path, metavar="FOLDER", help="where samples and data go")
    args = parser.parse_args()
    args.segue = args.segue.resolve()
    if not args.segue.is_file():
        parser.error(f"{args.segue} does not exist; make bench builds it")
    return args


def cache_folder() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "segue" / "bench"


def line(figure: Figure) -> str:
    digits = 0 if float(figure.value).is_integer() else 1 if figure.value >= 100 else 2
    value = f"{figure.value:,.{digits}f}"
    return f"  {figure.name:<52} {value:>10} {figure.unit:<3} {figure.wanted}".rstrip()


def load() -> list[float]:
    return [round(average, 2) for average in os.getloadavg()]


def main() -> int:
    args = arguments()
    # Otherwise the children of a bench that is told to stop would go on.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    rows = 250_000 if args.quick else args.rows
    results: dict = {
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
        "rows": rows,
        "load_before": load(),
        "figures": {},
    }
    print(f"{rows:,} rows, {os.cpu_count()} CPUs, load {load()[0]}; beside a figure: what is wanted")
    with tempfile.TemporaryDirectory(prefix="segue-bench-", dir=args.tmp) as folder:
        bench = Bench(
            segue=args.segue,
            folder=Path(folder),
            baselines=Baselines(cache_folder()),
            rows=rows,
            big_rows=rows * (3 if args.quick else 10),
            repeats=1 if args.quick else 3,
        )
        try:
            for name in args.only or SECTIONS:
                print(f"\n{name}: {SECTIONS[name].__doc__}", flush=True)
                figures = results["figures"][name] = []
                for figure in SECTIONS[name](bench):
                    figures.append(vars(figure))
                    print(line(figure), flush=True)
        except BenchError as err:
            print(f"did not run truly: {err}", file=sys.stderr)
            return 1
        finally:
            results |= {"load_after": load(), "runs": bench.runs}
            if args.json:
                args.json.write_text(json.dumps(results, indent=2, ensure_ascii=False) + "\n")
    print(f"\nload {load()[0]} in the end")
    return 0


if __name__ == "__main__":
    sys.exit(main())
