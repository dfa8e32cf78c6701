#!/usr/bin/env bash
# Ends what up.sh has started, and nothing else. RabbitMQ and PostgreSQL stay.
set -euo pipefail

folder="${SEGUE_UP_FOLDER:-${XDG_STATE_HOME:-$HOME/.local/state}/segue/up}"
if [ ! -s "$folder/pids" ]; then
  echo "Nothing is up."
  exit 0
fi
mapfile -t pids < "$folder/pids"
for pid in "${pids[@]}"; do
  # The number may be somebody else's by now.
  if [ -e "/proc/$pid/exe" ] && [[ "$(readlink "/proc/$pid/exe")" == */segue* ]]; then
    kill "$pid" 2>/dev/null || true
  fi
done
for pid in "${pids[@]}"; do
  tail --pid="$pid" -f /dev/null 2>/dev/null || true
done
rm -f "$folder/pids"
echo "Down."
