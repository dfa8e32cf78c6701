#!/usr/bin/env bash
# usage: services.sh [start|stop|install]
#
# Makes sure that RabbitMQ and PostgreSQL answer: on AMQP_URL and DATABASE_URL if they are set, else on their
# default ports. What does not answer there is installed (Debian packages) and started, on loopback only, with
# a data folder of its own that `services.sh stop` leaves behind.
set -euo pipefail

state="${XDG_STATE_HOME:-$HOME/.local/state}/segue/services"

say() { printf '%s\n' "$*" >&2; }

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

as_root() { if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi; }

# Servers refuse to run as root, so root lends them their own user.
as_user() {
  local user=$1
  shift
  if [ "$(id -u)" -eq 0 ]; then runuser -u "$user" -- "$@"; else "$@"; fi
}

install() {
  say "Installing $* (Debian packages) …"
  as_root apt-get update -q >/dev/null
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >/dev/null
}

await() {
  local port=$1 name=$2 log=$3
  for _ in $(seq 1 600); do
    if answers "$port"; then return; fi
    sleep 0.1
  done
  say "$name does not answer on 127.0.0.1:$port a minute after it was started: look at $log"
  exit 1
}

folder_of() {
  local folder="$state/$1" user=$2
  mkdir -p "$folder"
  if [ "$(id -u)" -eq 0 ]; then
    # The server's user has to get there.
    local up=$folder
    while [ "$up" != / ]; do
      chmod o+x "$up"
      up=$(dirname "$up")
    done
    chown "$user" "$folder"
  fi
  printf '%s' "$folder"
}

start_postgres() {
  [ -n "${DATABASE_URL:-}" ] && return
  answers 5432 && return
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || install postgresql
  answers 5432 && return # the package has started it
  local bin folder
  bin=$(dirname "$(ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1)")
  folder=$(folder_of postgres postgres)
  [ -f "$folder/data/PG_VERSION" ] ||
    as_user postgres "$bin/initdb" -D "$folder/data" -U postgres -A trust -E UTF8 --locale=C.UTF-8 >/dev/null
  say "Starting PostgreSQL on 127.0.0.1:5432 …"
  as_user postgres "$bin/pg_ctl" -D "$folder/data" -l "$folder/log" -s -w \
    -o "-c listen_addresses=127.0.0.1 -c port=5432 -c unix_socket_directories=$folder" start
}

start_rabbitmq() {
  [ -n "${AMQP_URL:-}" ] && return
  answers 5672 && return
  command -v rabbitmq-server >/dev/null || install rabbitmq-server
  answers 5672 && return
  local folder
  folder=$(folder_of rabbitmq rabbitmq)
  say "Starting RabbitMQ on 127.0.0.1:5672 …"
  as_user rabbitmq env HOME="$folder" ERL_EPMD_ADDRESS=127.0.0.1 \
    RABBITMQ_NODENAME=segue@localhost RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=5672 \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1}" \
    RABBITMQ_MNESIA_BASE="$folder/mnesia" RABBITMQ_LOG_BASE="$folder" RABBITMQ_PID_FILE="$folder/pid" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins" RABBITMQ_CONFIG_FILE="$folder/none" \
    /usr/lib/rabbitmq/bin/rabbitmq-server -detached >/dev/null 2>&1
  await 5672 RabbitMQ "$folder"
}

# Only what `start` has started.
stop() {
  local folder="$state/postgres"
  if [ -f "$folder/data/postmaster.pid" ]; then
    as_root kill -INT "$(head -n 1 "$folder/data/postmaster.pid")" 2>/dev/null || true
  fi
  if [ -f "$state/rabbitmq/pid" ]; then
    as_root kill "$(cat "$state/rabbitmq/pid")" 2>/dev/null || true
  fi
}

# The programs themselves, for tests that start servers of their own.
install_servers() {
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || install postgresql
  command -v psql >/dev/null || install postgresql-client
  [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] || install rabbitmq-server
}

case "${1:-start}" in
  start) start_postgres && start_rabbitmq ;;
  stop) stop ;;
  install) install_servers ;;
  *) say "usage: services.sh [start|stop|install]" && exit 2 ;;
esac
