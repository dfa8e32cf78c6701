"""Breaks Segue on purpose, one way after the other, and sees whether the tests notice.

    python3 tests/mutate.py [NAME...]

Each `tests/mutations/<name>.patch` begins with what is broken. Then a line says who has to notice:

- `test: <filter>`: a test. The patch breaks Segue only where `BROKEN_ON_PURPOSE` is `<name>`, so all such patches are
  applied to one copy of the work tree and built once. The test has to be green in that build, and red with the name.
- `run: <command>`: a command, for what cannot wait for a variable. The patch is applied by itself.

It builds into `CARGO_TARGET_DIR`, or else `target`, with the profile of `make chaos`, whose dependencies it shares. Segue itself
is not optimised for this: to build it so takes longer than the tests.
"""

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PATCHES = ROOT / "tests" / "mutations"
LIMIT = 900  # seconds for one test, building not included
PROFILE = ["--profile", "chaos", "--locked", "--quiet"]
# Always the same ones: other packages mean other features, and other features mean that everything is built anew.
PACKAGES = "tests store control-plane worker service".split()
TESTS = ["test", *PROFILE, "--tests", *(part for it in PACKAGES for part in ("--package", f"segue-{it}"))]


@dataclass
class Mutation:
    patch: Path
    what: str
    test: str | None
    command: list[str] | None

    @property
    def name(self) -> str:
        return self.patch.stem


def read(patch: Path) -> Mutation:
    lines = patch.read_text().splitlines()
    tests = [line.removeprefix("test: ") for line in lines if line.startswith("test: ")]
    commands = [line.removeprefix("run: ") for line in lines if line.startswith("run: ")]
    if len(tests) + len(commands) != 1:
        sys.exit(f"{patch}: it needs one line that begins with `test: ` or `run: `")
    return Mutation(patch, lines[0], tests[0] if tests else None, shlex.split(commands[0]) if commands else None)


def succeeds(tree: Path, command: list[str], broken: str = "") -> bool:
    """Whether it ends in time with 0; what it printed is kept beside the build for whoever wants to know."""
    environment = settings() | {"BROKEN_ON_PURPOSE": broken}
    with open(target() / "mutations.log", "a") as log:
        print(f"\n=== {broken or 'unbroken'}: {shlex.join(command)}", file=log, flush=True)
        try:
            done = subprocess.run(command, cwd=tree, env=environment, stdout=log, stderr=log, timeout=LIMIT)
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0


def build(tree: Path) -> None:
    environment = settings()
    for command in (["build", *PROFILE, "--workspace", "--bins"], [*TESTS, "--no-run"]):
        if subprocess.run(["cargo", *command], cwd=tree, env=environment).returncode != 0:
            sys.exit("what does not build has not been tried")


def settings() -> dict[str, str]:
    return os.environ | {"CARGO_TARGET_DIR": str(target()), "CARGO_PROFILE_CHAOS_OPT_LEVEL": "0"}


def target() -> Path:
    given = os.environ.get("CARGO_TARGET_DIR")
    return Path(given) if given else ROOT / "target"


def apply(tree: Path, mutation: Mutation, *options: str) -> None:
    subprocess.run(["git", "apply", *options, str(mutation.patch)], cwd=tree, check=True)


def judge(mutation: Mutation, green: bool, red: bool) -> bool:
    who = mutation.test or shlex.join(mutation.command or [])
    said = "red, as it has to be" if green and red else "NOBODY NOTICED" if green else "RED WITHOUT IT"
    print(f"{mutation.name}: {mutation.what}\n  {said}: {who}", flush=True)
    return green and red


def bites(tree: Path, mutation: Mutation) -> bool:
    if mutation.command:
        green = succeeds(tree, mutation.command)
        apply(tree, mutation)
        red = not succeeds(tree, mutation.command, mutation.name)
        apply(tree, mutation, "--reverse")
        return judge(mutation, green, red)
    command = ["cargo", *TESTS, "--", mutation.test or ""]
    return judge(mutation, succeeds(tree, command), not succeeds(tree, command, mutation.name))


def main() -> int:
    wanted = sys.argv[1:]
    mutations = [read(it) for it in sorted(PATCHES.glob("*.patch")) if not wanted or it.stem in wanted]
    if not mutations:
        sys.exit(f"no such mutation; there are: {' '.join(it.stem for it in sorted(PATCHES.glob('*.patch')))}")
    target().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "segue"
        ignore = shutil.ignore_patterns("target", ".venv", "node_modules")
        # With the time of now: by older ones cargo would take what another tree has built for the build of this one.
        shutil.copytree(ROOT, tree, ignore=ignore, copy_function=shutil.copy)
        missed = [it.name for it in mutations if it.command and not bites(tree, it)]
        switched = [it for it in mutations if it.test]
        if switched:
            for mutation in switched:
                apply(tree, mutation)
            print("Building Segue with all that can be broken in it …", flush=True)
            build(tree)
            missed += [it.name for it in switched if not bites(tree, it)]
    print(f"{len(mutations)} mutations, {len(missed)} unnoticed {' '.join(missed)}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
