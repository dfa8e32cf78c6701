#!/bin/sh
# Makes, once, a virtual environment with the packages of requirements.txt, and prints its Python.
# Several test processes may call it at the same time: the first makes it, the others wait.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
command -v python3 >/dev/null || { echo "python3 is required for this test" >&2; exit 1; }

cache="${XDG_CACHE_HOME:-$HOME/.cache}/segue/python"
version=$(cksum < "$here/requirements.txt" | cut -d ' ' -f 1)
venv="$cache/$version"
mkdir -p "$cache"

exec 9> "$cache/lock"
command -v flock >/dev/null && flock 9

if [ ! -f "$venv/ready" ]; then
    rm -rf "$venv"
    python3 -m venv "$venv" >&2 || { echo "python3 needs its venv module" >&2; exit 1; }
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt" >&2
    touch "$venv/ready"
fi
echo "$venv/bin/python"
