#!/usr/bin/env bash
# The main job, end to end, against a Klaviyo that runs here. It never talks to a real account, whatever
# the environment says.
set -euo pipefail

segue=$1
folder=$(mktemp -d)
simulator=
finish() {
  if [ -n "$simulator" ]; then
    kill "$simulator" 2>/dev/null || true
    wait "$simulator" 2>/dev/null || true
  fi
  rm -rf "$folder"
}
trap finish EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }

say "1. A segment of 100,000 people who cannot exist"
"$segue" sample --rows 100000 --dirty "$folder/segment.csv"
head -n 3 "$folder/segment.csv"

say "2. A Klaviyo that exists only on this machine, with Klaviyo's real limits"
mkfifo "$folder/simulator.log"
"$segue" simulator --listen 127.0.0.1:0 --list DEMO01="Demo newsletter" 2>"$folder/simulator.log" &
simulator=$!
# Its first line says where it listens; if it cannot, there is no line.
exec 3<"$folder/simulator.log"
read -r line <&3
url=${line##* }
echo "$line"

say "3. segue export segment.csv --list DEMO01"
code=0
env -u SEGUE_DATA KLAVIYO_API_KEY=pk_sim SEGUE_KLAVIYO_URL="$url" \
  "$segue" export "$folder/segment.csv" --list DEMO01 --yes --data "$folder/data" \
  --report "$folder/report.json" --rejects "$folder/rejects.csv" || code=$?

say "4. The report"
cat "$folder/report.json"

say "5. The first rejected rows"
head -n 4 "$folder/rejects.csv" | cut -c1-160

# 3: completed with rejects, which is what a segment with bad rows should do.
[ "$code" -eq 0 ] || [ "$code" -eq 3 ] || exit "$code"
say "Done: every row is accounted for. README.md shows how to export to an account of your own."
