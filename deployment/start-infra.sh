#!/bin/sh
# Start Kafka, Redis, Prometheus and Grafana; make their passwords first, once. Safe to repeat.
#
#   ./start-infra.sh                one broker
#   ./start-infra.sh --brokers 3    three, chosen before the first start
#   ./start-infra.sh --prepare      only make passwords and files
set -eu
cd "$(dirname "$0")"
umask 077

brokers='' prepare_only=''
while [ $# -gt 0 ]; do
    case $1 in
    --brokers) brokers=${2:-} && shift ;;
    --prepare) prepare_only=yes ;;
    -h | --help) sed -n '2,7s/^# \{0,1\}//p' "$0" && exit 0 ;;
    *) echo "error: unknown argument $1 (see --help)" >&2 && exit 2 ;;
    esac
    shift
done
case $brokers in
'' | 1 | 3) ;;
*) echo "error: --brokers is 1 or 3" >&2 && exit 2 ;;
esac

random() { od -An -tx1 -N24 /dev/urandom | tr -d ' \n'; }
sha256() { printf %s "$1" | sha256sum | cut -d ' ' -f 1; }
value() { sed -n "s/^$1=//p" .env | tail -n 1; }
keep() { # NAME VALUE: into .env, unless it has one
    grep -q "^$1=" .env || printf '%s=%s\n' "$1" "$2" >>.env
}
secret() { # FILE TEXT: readable by containers' users; the folder is ours alone
    printf %s "$2" >"secrets/.new" && chmod 444 "secrets/.new" && mv -f "secrets/.new" "secrets/$1"
}

[ -e .env ] || echo "# Made by start-infra.sh; yours to change. Not for git." >.env
chmod 600 .env
keep KAFKA_CLUSTER_ID "$(printf 'A%s' "$(head -c 16 /dev/urandom | base64 | tr '+/' 'ab' | cut -c 2-21)A")"
keep KAFKA_UI_PASSWORD "$(random)"
keep GRAFANA_PASSWORD "$(random)"
keep REDIS_PASSWORD "$(random)"     # of Redis's own user, default: everything
keep REDIS_APP_PASSWORD "$(random)" # of the user vision-stream: our keys and commands alone
keep GATEWAY_TOKEN "$(random)"
keep ALGO_KAFKA_REPLICATION_FACTOR "${brokers:-1}"
made_for=$(value ALGO_KAFKA_REPLICATION_FACTOR)
brokers=${brokers:-$made_for}
if [ "$brokers" != "$made_for" ]; then
    echo "error: .env was made for $made_for broker(s), and a quorum does not change its size by a restart" >&2
    echo "  remedy: leave --brokers out, or remove .env and Kafka's volumes and begin anew" >&2
    exit 2
fi

mkdir -p secrets
chmod 700 secrets
secret redis_password "$(value REDIS_PASSWORD)"
secret redis_url "redis://vision-stream:$(value REDIS_APP_PASSWORD)@redis:6379/0"
secret gateway_token "$(value GATEWAY_TOKEN)"
secret grafana_password "$(value GRAFANA_PASSWORD)"
secret redis_users.acl "$(sed -e "s/@ADMIN_SHA256@/$(sha256 "$(value REDIS_PASSWORD)")/" \
    -e "s/@APP_SHA256@/$(sha256 "$(value REDIS_APP_PASSWORD)")/" redis/users.acl.template)
"
[ -z "$prepare_only" ] || exit 0

files="-f docker-compose.infra.yml"
[ "$brokers" = 1 ] || files="$files -f docker-compose.infra.3-brokers.yml"
# shellcheck disable=SC2086
docker compose $files up --detach --wait --wait-timeout 180

cat <<'END'

Kafka       localhost:9092                 (containers: kafka:29092)
Kafka UI    http://127.0.0.1:8080          user admin, KAFKA_UI_PASSWORD in deployment/.env
Redis       localhost:6379                 REDIS_PASSWORD, or user vision-stream with REDIS_APP_PASSWORD
Prometheus  http://127.0.0.1:9100
Alerts      http://127.0.0.1:9093
Grafana     http://127.0.0.1:3100          user admin, GRAFANA_PASSWORD

For programs on this host:
  export ALGO_ENABLE_KAFKA_STREAMING=true ALGO_KAFKA_BOOTSTRAP_SERVERS=localhost:9092
  export ALGO_REDIS_URL="redis://vision-stream:$(sed -n 's/^REDIS_APP_PASSWORD=//p' deployment/.env)@localhost:6379/0"
END
