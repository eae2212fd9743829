# `make` alone lists what can be done. Everything is made in this folder; nothing is installed elsewhere.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
export BROKER ?= tansu
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help run faults test test-kafka proof-issuance proof-upgrade drills check check-k8s prove-k8s dashboards alerts check-dashboards bench devices kafka image sbom compose-secrets compose-proof proto release-proto format lock clean

help: ## list the targets
	@echo "onecard: the platform behind a city's social security card"
	@echo
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'
	@echo
	@echo "  BROKER=kafka before run, test or bench takes a real Apache Kafka (needs Java 17 and Maven)"

run: $(VENV)/city.stamp ## bring a small city to life on the screen (FOR=30: thirty seconds, then reconcile and stop; FAULT=garbage: see `make faults`)
ifdef FAULT
	@$(BIN)/onecard city fault $(FAULT) $(if $(CARDS),--cards $(CARDS)) $(if $(RATE),--rate $(RATE))
else
	@$(BIN)/onecard city run $(if $(FOR),--for $(FOR)) $(if $(CARDS),--cards $(CARDS)) $(if $(RATE),--rate $(RATE))
endif

faults: $(VENV)/city.stamp ## list what can be made to go wrong, and the alerts that tell of it (make run FAULT=imbalance,garbage or FAULT=all)
	@$(BIN)/onecard city faults

# Two parts that take equally long side by side. What measures how quick something is comes last, when the machine is its own.
HALF := tests/unit $(addprefix tests/integration/,card common payments servers)
# Minutes before a broker are for the one that a city has: processes that are killed, memory, a week without coverage, a whole city.
ON_KAFKA := $(filter-out tests/chaos/test_api.py,$(wildcard tests/chaos/test_*.py)) $(addprefix tests/e2e/test_,city.py memory.py week_offline.py)
# What `make test-kafka`, `make check-k8s`, BROKER=kafka-secured and `make proof-upgrade` are for.
ELSEWHERE := $(ON_KAFKA) tests/k8s tests/secured tests/upgrade
MEASURING := $(addprefix tests/integration/payments/test_,rate_limits.py api_callers.py)

# Two runs of pytest beside each other, with ports of their own: $(1) in a log that is shown when both have ended, $(2) at once.
define beside
@mkdir -p build; echo "beside the others, shown when both have ended: pytest $(1)"; \
trap 'kill $$beside; exit 130' INT TERM; \
ONECARD_PORTS=20000:26000 $(BIN)/pytest $(1) >build/tests-beside.log 2>&1 & beside=$$!; \
ONECARD_PORTS=26000:32000 $(BIN)/pytest $(2); first=$$?; \
wait $$beside; second=$$?; cat build/tests-beside.log; exit $$((first | second))
endef

test: $(VENV)/dev.stamp ## run the tests on real servers (ARGS="-k name" picks some of all)
ifdef ARGS
	$(BIN)/pytest $(ARGS)
else
	$(call beside,$(HALF) $(addprefix --ignore=,$(MEASURING)),$(addprefix --ignore=,$(HALF) $(ELSEWHERE)))
	$(BIN)/pytest $(MEASURING)
endif

# A whole city, with a broker in Java, needs the machine for itself.
test-kafka: export BROKER := kafka
test-kafka: $(VENV)/dev.stamp ## run what meets a broker on a real Apache Kafka, with processes killed and a whole city (needs Java 17 and Maven)
	$(call beside,-m broker tests/chaos,-m broker --ignore=tests/chaos --ignore=tests/upgrade --ignore=tests/e2e/test_city.py)
	$(BIN)/pytest -m broker tests/e2e/test_city.py

# What the tests make at every commit, many times over. Of the answers each of fourteen tests takes its share.
LIVES ?= 3000
ANSWERS ?= 100000
DAYS ?= 1000
proof-issuance: $(VENV)/dev.stamp ## lives of cards by the thousand, hostile answers, days of blanks (LIVES=30 ANSWERS=1000 DAYS=10: a part)
	@echo "$(LIVES) lives with up to 8 cuts each on the real services, with the journal in PostgreSQL, of each product's chip; ten times in memory;"
	@echo "$(ANSWERS) hostile answers and messages; $(DAYS) random days of blanks"
	ONECARD_CHIP_LIVES=$(LIVES) ONECARD_ISSUE_LIVES=$(LIVES)0 ONECARD_ISSUE_LIVES_ON_POSTGRES=$(LIVES) ONECARD_WHOLE_LIVES=$(LIVES) \
	ONECARD_PCSC_CARDS=$$((6 + $(LIVES) / 30)) ONECARD_HOSTILE_ANSWERS=$$(($(ANSWERS) / 4)) ONECARD_BLANK_DAYS=$(DAYS) \
	$(BIN)/pytest --timeout=0 --durations=12 tests/unit/issuance tests/property/test_random_blanks.py tests/integration/issuance

proof-upgrade: export BROKER := kafka
proof-upgrade: $(VENV)/dev.stamp ## one release replaces another under load on Apache Kafka, a minute side by side, back again, then the contract (FROM=v0.1.0: from that tag)
	ONECARD_UPGRADE_FROM=$(FROM) ONECARD_UPGRADE_SECONDS=$(or $(SECONDS_TOGETHER),60) ONECARD_UPGRADE_RATE=$(or $(RATE),200) $(BIN)/pytest -q tests/upgrade

drills: $(VENV)/dev.stamp ## lose a city's servers, services and vaults and come back; lose the database under load; go back to a moment before a mistake (BROKER=kafka: on Apache Kafka)
	$(BIN)/onecard city drill
	$(BIN)/pytest -q tests/chaos/test_server_lost.py

check: $(VENV)/dev.stamp ## format, lint, types, import rules, protobuf rules (nothing released may break)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/buf lint
	$(BIN)/buf breaking --against proto/released.txtpb
	$(BIN)/yamllint --strict docker-compose.yml deploy/docker
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml deploy/docker/docker-compose.proof.yml
	$(BIN)/hadolint Dockerfile deploy/docker/stand-ins/*.Dockerfile
	$(BIN)/python -m deploy.grafana.build --check
	$(BIN)/python -m deploy.prometheus.build --check

dashboards: $(VENV)/dev.stamp ## write deploy/grafana/dashboards anew
	$(BIN)/python -m deploy.grafana.build

alerts: $(VENV)/dev.stamp ## write the rules of Prometheus and the routes of Alertmanager anew, from deploy/prometheus/alerts.toml
	$(BIN)/python -m deploy.prometheus.build

check-dashboards: $(VENV)/dev.stamp ## ask every query of the dashboards on what the last `make run` has stored (needs Prometheus)
	$(BIN)/python -m deploy.grafana.check

bench: $(VENV)/dev.stamp ## measure: taps and calls a second, latency, where the time goes (QUICK=1: a few minutes; SCALE=city: 4.6 million people)
	$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(SCALE),--scale $(SCALE))

devices: $(VENV)/devices.stamp ## install what a real card reader and a hardware module need (libpcsclite-dev, a C compiler)

kafka: $(VENV)/city.stamp ## fetch Apache Kafka's jars by their Maven coordinates and start one node on loopback
	@$(BIN)/onecard city kafka

IMAGE ?= onecard:local
image: ## build the image of all services (IMAGE=name:tag)
	DOCKER_BUILDKIT=1 docker build -t $(IMAGE) .

sbom: ## what the image is made of: CycloneDX JSON, into build/sbom.cdx.json
	@mkdir -p build && docker run --rm --network none $(IMAGE) cat /opt/onecard/sbom.cdx.json >build/sbom.cdx.json && echo build/sbom.cdx.json

compose-secrets: ## draw the passwords, keys and certificates of docker-compose.yml into .compose/; what is there stays
	@mkdir -m 700 -p .compose
	@docker run --rm --network none --user "$$(id -u):$$(id -g)" -v "$$PWD/.compose:/secrets" $(IMAGE) python -m cli.installation /secrets

compose-proof: $(VENV)/city.stamp ## bring docker-compose.yml up on an engine of its own, without a registry; tap, look, take it down (root, Debian)
	@deploy/docker/proof.sh

OVERLAYS := dev city province
RENDERED := $(OVERLAYS:%=build/k8s/%.yaml)
DEPLOY := .venv-deploy/bin
check-k8s: $(VENV)/dev.stamp .venv-deploy/stamp ## render the manifests of deploy/k8s: schemas, custom kinds too, policies, and whether they fit the code
	$(DEPLOY)/yamllint -s -c deploy/k8s/checks/yamllint.yaml deploy/k8s
	$(DEPLOY)/python deploy/k8s/checks/render.py $(OVERLAYS)
	$(DEPLOY)/python deploy/k8s/checks/strict.py $(RENDERED)
	$(DEPLOY)/checkov --config-file deploy/k8s/checks/checkov.yaml --skip-download --quiet --compact --framework kubernetes $(addprefix -f ,$(RENDERED))
	ONECARD_K8S_RENDERED=build/k8s $(BIN)/pytest -q tests/k8s

prove-k8s: .venv-deploy/stamp .k8s/kube-apiserver ## apply deploy/k8s to a real API server, which is built at first (Go, etcd); operators are played
	$(DEPLOY)/python deploy/k8s/proof/prove.py .k8s/kube-apiserver .k8s/proof $(OVERLAYS)

proto: gen/stamp ## build the Python code of proto/

release-proto: $(VENV)/dev.stamp ## take proto/ as released: from then on the checks refuse to break it
	$(BIN)/buf build --exclude-source-info -o proto/released.txtpb

format: $(VENV)/dev.stamp ## put the code into its format
	$(BIN)/ruff check --fix --select I .
	$(BIN)/ruff format .

lock: $(VENV)/dev.stamp ## choose versions anew: requirements*.txt with hashes
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header $(LOCK) pyproject.toml -o requirements.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header $(LOCK) --extra city pyproject.toml -c requirements.txt -o requirements-city.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header $(LOCK) --extra city --extra dev --extra otel pyproject.toml -c requirements-city.txt -o requirements-dev.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header $(LOCK) --extra pcsc --extra hsm pyproject.toml -c requirements-city.txt -o requirements-devices.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header $(LOCK) --group image -c requirements-city.txt -o requirements-image.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header $(LOCK) --extra otel pyproject.toml -c requirements-city.txt -o requirements-otel.txt
	$(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header $(LOCK) deploy/k8s/requirements.in -o deploy/k8s/requirements.txt

clean: ## stop what a crashed run left and remove everything that was made here
	@if [ -x $(BIN)/onecard ]; then $(BIN)/onecard city clean; fi
	rm -rf $(VENV) .venv-deploy .city .city-faults .kafka .docker .k8s build gen *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(v < (3, 11) and f"onecard needs Python 3.11 or newer; {sys.executable} is {v[0]}.{v[1]}. Name another one: make PYTHON=/path/to/python3.12 …")'
	@echo "making an environment in $(VENV) …"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/city.stamp: requirements-city.txt pyproject.toml gen/stamp | $(BIN)/python
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/requirements-city.stamp: requirements-city.txt | $(BIN)/python
	@echo "installing what the city needs …"
	@$(BIN)/python -m pip install -q --require-hashes -r requirements-city.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/city.stamp
	@echo "installing what the tests and checks need …"
	@$(BIN)/python -m pip install -q --require-hashes -r requirements-dev.txt
	@touch $@

$(VENV)/devices.stamp: requirements-devices.txt $(VENV)/city.stamp
	@echo "installing what card readers and hardware modules need …"
	@$(BIN)/python -m pip install -q --require-hashes -r requirements-devices.txt
	@touch $@

# Of their own, for they hold many packages to versions that nobody else wants.
.venv-deploy/stamp: deploy/k8s/requirements.txt $(VENV)/dev.stamp
	@echo "installing what the manifests are checked with …"
	@$(PYTHON) -m venv .venv-deploy
	@$(BIN)/uv pip sync -q --python $(DEPLOY)/python --require-hashes deploy/k8s/requirements.txt
	@touch $@

API_SERVER := deploy/k8s/proof/server
.k8s/kube-apiserver: $(API_SERVER)/go.mod $(API_SERVER)/go.sum
	@echo "building the API server of Kubernetes; it takes some minutes, once …"
	@mkdir -p $(@D)
	@cd $(API_SERVER) && go build -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$$(go list -m -f '{{.Version}}' k8s.io/kubernetes)" \
	  -o $(CURDIR)/$@ k8s.io/kubernetes/cmd/kube-apiserver
	@touch $@

gen/stamp: $(shell find proto -name '*.proto') $(VENV)/requirements-city.stamp
	@rm -rf gen && mkdir -p gen
	@$(BIN)/python -m grpc_tools.protoc -I proto --python_out=gen --pyi_out=gen --grpc_python_out=gen $$(find proto -name '*.proto' | sort)
	@find gen/onecard -type d -exec touch {}/__init__.py \;
	@touch $@
