# Every command of the project. `make help` lists them.
# GNU Make before 4.4 ignores this with -C: run make -s -C <directory>.
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

VENV := .venv
PYTHON := $(VENV)/bin/python
INSTALLED := $(VENV)/installed
CHECKOV := .venv-checkov
export PYTHONPATH := $(CURDIR):$(CURDIR)/lambdas:$(CURDIR)/scripts
# A venv whose interpreter is gone is created again.
BROKEN := $(shell [ -x $(PYTHON) ] || echo broken)
CHECKOV_BROKEN := $(shell [ -x $(CHECKOV)/bin/python ] || echo broken)

.PHONY: help up down test e2e lint checkov format generate build outputs mysql db-stop db-start simulate status replay demo-outage demo-cutover bench bench-million lock audit clean broken

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

up: $(INSTALLED) ## Start the local stack and follow a first order into MySQL; safe to repeat
	@$(PYTHON) -m scripts.local_stack up

down: $(INSTALLED) ## Stop what `up` started
	@$(PYTHON) -m scripts.local_stack down

test: $(INSTALLED) ## Run every test; make test ARGS="tests/unit -x" runs a part
	@$(PYTHON) -m pytest -n 2 $(ARGS)

e2e: $(INSTALLED) ## Run the end-to-end tests only; against AWS_ENDPOINT_URL where that is set
	@$(PYTHON) -m pytest tests/e2e $(ARGS)

lint: $(INSTALLED) ## Check style, types, generated files and Terraform
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@$(PYTHON) -m supply_chain.lock --check
	@$(PYTHON) -m scripts.generators --check
	@$(PYTHON) -m scripts.lint_terraform

checkov: $(INSTALLED) $(CHECKOV)/installed ## Check Terraform for security; checkov gets a venv of its own
	@$(PYTHON) -m scripts.lint_security

format: $(INSTALLED) ## Format Python and Terraform
	@$(PYTHON) -m ruff format .
	@terraform fmt -recursive terraform

generate: $(INSTALLED) ## Write the generated files: OpenAPI document, reference of variables, mapping schema
	@$(PYTHON) -m scripts.generators

build: $(INSTALLED) ## Build the functions' zips into build/; MAPPINGS=folder takes your own mappings
	@$(PYTHON) scripts/build.py $(if $(MAPPINGS),--mappings "$(MAPPINGS)")

outputs: $(INSTALLED) ## Print the running stack's Terraform outputs as one JSON object
	@$(PYTHON) -m scripts.local_stack outputs

mysql: $(INSTALLED) ## Open a SQL client on the stack's database; without a terminal it reads standard input
	@$(PYTHON) -m scripts.local_stack mysql

db-stop: $(INSTALLED) ## Stop the database server: an outage
	@$(PYTHON) -m scripts.local_stack db-stop

db-start: $(INSTALLED) ## Start the database server again
	@$(PYTHON) -m scripts.local_stack db-start

simulate: $(INSTALLED) ## Change orders on the running stack: make simulate ARGS="--rate 20 --count 1000"
	@$(PYTHON) -m scripts.local_stack simulate $(ARGS)

status: $(INSTALLED) ## Show whether changes reach MySQL, and what to do: make status ARGS=--watch, ARGS=--page
	@$(PYTHON) -m backstream status $(ARGS)

replay: $(INSTALLED) ## Replay failed batches, list or retry parked records: make replay ARGS="--dry-run", ARGS=list
	@$(PYTHON) -m backstream replay $(ARGS)

demo-outage: $(INSTALLED) ## Show an outage on the running stack, from the first failure to the replay
	@$(PYTHON) -m scripts.local_stack demo-outage $(ARGS)

demo-cutover: $(INSTALLED) ## Show a cutover on the running stack, from a legacy application to the API and back
	@$(PYTHON) -m scripts.local_stack demo-cutover $(ARGS)

bench: $(INSTALLED) ## Measure against the goals
	@$(PYTHON) -m scripts.bench $(ARGS)

bench-million: $(INSTALLED) ## Measure load and verification with a million items
	@$(PYTHON) -m scripts.bench.million $(ARGS)

lock: $(INSTALLED) ## Renew the locks from requirements*.in; make lock ARGS=--upgrade takes newer versions
	@$(PYTHON) -m supply_chain.lock $(ARGS)

audit: $(INSTALLED) ## Look up known vulnerabilities of every locked package
	@$(PYTHON) -m supply_chain.audit $(ARGS)

clean: down ## Stop the stack and remove its state; keep downloaded packages
	@find .backstream -mindepth 1 -maxdepth 1 ! -name cache -exec rm -rf {} +

$(INSTALLED): requirements.txt requirements-dev.txt scripts/venv.sh $(BROKEN)
	@scripts/venv.sh $(VENV)

$(CHECKOV)/installed: requirements-checkov.txt scripts/venv.sh $(CHECKOV_BROKEN)
	@scripts/venv.sh $(CHECKOV) requirements-checkov.txt

broken:
