"""Breaks Segue on purpose, one way after the other, and sees whether the tests notice.

    python3 tests/mutate.py [NAME...]

Each `tests/mutations/<name>.patch` begins with what is broken, then a line `test: <arguments of cargo test>`, then
the patch. It is applied to a copy of the work tree; the test has to turn red, and has to be green without the patch.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATCHES = ROOT / "tests" / "mutations"
LIMIT = 900  # seconds for one test, building not included


def read(patch: Path) -> tuple[str, list[str]]:
    lines = patch.read_text().splitlines()
    tests = [line.removeprefix("test: ").split() for line in lines if line.startswith("test: ")]
    if len(tests) != 1:
        sys.exit(f"{patch}: it needs one line that begins with `test: `")
    return lines[0], tests[0]


def cargo(tree: Path, arguments: list[str], limit: float | None = None) -> bool:
    environment = os.environ | {"CARGO_TARGET_DIR": str(target())}
    try:
        done = subprocess.run(
            ["cargo", *arguments], cwd=tree, env=environment, capture_output=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def target() -> Path:
    given = os.environ.get("CARGO_TARGET_DIR")
    return (Path(given) if given else ROOT / "target") / "mutations"


def bites(tree: Path, patch: Path) -> bool:
    what, test = read(patch)
    print(f"{patch.stem}: {what}", flush=True)
    subprocess.run(["git", "apply", str(patch)], cwd=tree, check=True)
    try:
        # What does not build has not been tried.
        for build in (["build", "--quiet", "--workspace", "--bins"], ["test", "--no-run", *test]):
            if not cargo(tree, build):
                print("  it does not build", flush=True)
                return False
        red = not cargo(tree, ["test", *test], LIMIT)
    finally:
        subprocess.run(["git", "apply", "--reverse", str(patch)], cwd=tree, check=True)
    print(f"  {'red, as it has to be' if red else 'NOBODY NOTICED'}: cargo test {' '.join(test)}", flush=True)
    return red


def main() -> int:
    wanted = sys.argv[1:]
    patches = [it for it in sorted(PATCHES.glob("*.patch")) if not wanted or it.stem in wanted]
    if not patches:
        sys.exit(f"no such mutation; there are: {' '.join(it.stem for it in sorted(PATCHES.glob('*.patch')))}")
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "segue"
        ignore = shutil.ignore_patterns("target", ".venv", "node_modules")
        shutil.copytree(ROOT, tree, ignore=ignore)
        missed = [patch.stem for patch in patches if not bites(tree, patch)]
    print(f"{len(patches)} mutations, {len(missed)} unnoticed {' '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
