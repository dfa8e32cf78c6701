#!/bin/sh
# Installs, once, what package-lock.json names, beside it.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
for needed in node npm chromium; do
    command -v "$needed" >/dev/null || { echo "$needed is required for this test: make test installs it" >&2; exit 1; }
done

version=$(cksum < "$here/package-lock.json" | cut -d ' ' -f 1)
ready="$here/node_modules/.ready-$version"
[ -f "$ready" ] && exit 0
npm ci --silent --no-fund --no-audit --ignore-scripts --prefix "$here" >&2
touch "$ready"
