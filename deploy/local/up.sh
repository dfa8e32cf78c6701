#!/usr/bin/env bash
# The distributed form on this machine, on loopback only: two control-planes, two workers, status, console, and a Klaviyo
# that runs here unless SEGUE_KLAVIYO_URL names another. `down.sh` ends it.
set -euo pipefail

segue=$(realpath "$1")
here=$(cd "$(dirname "$0")" && pwd)
folder="${SEGUE_UP_FOLDER:-${XDG_STATE_HOME:-$HOME/.local/state}/segue/up}"

say() { printf '%s\n' "$*"; }

if [ -s "$folder/pids" ] && xargs -a "$folder/pids" kill -0 2>/dev/null; then
  say "It is up already. End it with: make down"
  exit 0
fi

"$here/services.sh" start

umask 077
mkdir -p "$folder"/{staging,source,log}
: > "$folder/pids"
for secret in master-key worker-token admin-token console-key; do
  [ -s "$folder/$secret" ] || head -c 32 /dev/urandom | base64 > "$folder/$secret"
done
[ -e "$folder/source/sample.csv" ] || "$segue" sample --rows 100000 --dirty "$folder/source/sample.csv"

# Nothing of the caller's own settings reaches the services but these.
while read -r name; do
  case "$name" in
    SEGUE_KLAVIYO_URL | SEGUE_DATABASE_URL | SEGUE_AMQP_URL | SEGUE_LOG) ;;
    *) unset "$name" ;;
  esac
done < <(compgen -e SEGUE_ || true)
export SEGUE_AMQP_URL="${SEGUE_AMQP_URL:-${AMQP_URL:-amqp://guest:guest@127.0.0.1:5672/%2f}}"
export SEGUE_DATABASE_URL="${SEGUE_DATABASE_URL:-${DATABASE_URL:-postgres://postgres@127.0.0.1:5432/segue}}"
if [ "$SEGUE_DATABASE_URL" = postgres://postgres@127.0.0.1:5432/segue ]; then
  psql --quiet --no-psqlrc --host 127.0.0.1 --username postgres --dbname postgres >/dev/null <<'SQL'
SELECT 'CREATE DATABASE segue' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'segue') \gexec
SQL
fi
export SEGUE_STAGING_URL="file://$folder/staging"
export SEGUE_SOURCE_DIR="$folder/source"
export SEGUE_MASTER_KEY_FILE="$folder/master-key"
export SEGUE_WORKER_TOKEN_FILE="$folder/worker-token"
export SEGUE_ADMIN_TOKEN_FILE="$folder/admin-token"

start() {
  local name=$1
  shift
  "$segue" "$@" >"$folder/log/$name.log" 2>&1 &
  echo $! >> "$folder/pids"
}

ready() {
  local name=$1 url=$2
  if ! curl --silent --fail --output /dev/null --retry 150 --retry-delay 0 --retry-max-time 30 \
      --retry-all-errors --max-time 5 "$url"; then
    say "$name is not ready: the last words of $folder/log/$name.log are"
    tail -n 5 "$folder/log/$name.log"
    "$here/down.sh"
    exit 1
  fi
}

"$segue" migrate
if [ -z "${SEGUE_KLAVIYO_URL:-}" ]; then
  start klaviyo simulator --listen 127.0.0.1:7410 --list DEMO01="Demo newsletter"
  export SEGUE_KLAVIYO_URL=http://127.0.0.1:7410
fi
start control-plane-1 control-plane --listen 127.0.0.1:7400 --worker-listen 127.0.0.1:7402 --metrics-listen 127.0.0.1:7409
ready control-plane-1 http://127.0.0.1:7409/readyz
start control-plane-2 control-plane --listen 127.0.0.1:7403 --worker-listen 127.0.0.1:7404 --metrics-listen 127.0.0.1:7419
start worker-1 worker --control-plane-url http://127.0.0.1:7402,http://127.0.0.1:7404 --metrics-listen 127.0.0.1:7429
start worker-2 worker --control-plane-url http://127.0.0.1:7404,http://127.0.0.1:7402 --metrics-listen 127.0.0.1:7439
start status status --status-listen 127.0.0.1:7401 --metrics-listen 127.0.0.1:7449
start console console --console-listen 127.0.0.1:7405 --console-key-file "$folder/console-key" \
  --server http://127.0.0.1:7400 --status-url http://127.0.0.1:7401 --metrics-listen 127.0.0.1:7459
ready control-plane-2 http://127.0.0.1:7419/readyz
ready worker-1 http://127.0.0.1:7429/readyz
ready worker-2 http://127.0.0.1:7439/readyz
ready status http://127.0.0.1:7449/readyz
ready console http://127.0.0.1:7459/readyz

say "Up. Control-plane 127.0.0.1:7400 (and 7403), status 127.0.0.1:7401, Klaviyo $SEGUE_KLAVIYO_URL"
say "Before you ask them: export SEGUE_TOKEN_FILE=$folder/admin-token SEGUE_STATUS_URL=http://127.0.0.1:7401"
say "In a browser: http://127.0.0.1:7405, with the token in $folder/admin-token"
say "Segments lie in $folder/source, logs in $folder/log"
say "End it with: make down"
