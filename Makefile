# Vision Stream. Every target calls scripts/dev.py, which needs Python 3.11 and nothing else.
PYTHON ?= python3
ARGS ?=
.DEFAULT_GOAL := help
.PHONY: help demo test lint setup lock audit simulate soak faults clean

demo:  ## Set up, and run the main job until Ctrl-C (ARGS="--seconds 60 --headless")
	@$(PYTHON) scripts/dev.py demo $(ARGS)

test:  ## Set up, lint, and pass the tests (ARGS="-k topics", ARGS=--yolo adds ultralytics)
	@$(PYTHON) scripts/dev.py test $(ARGS)

lint:  ## ruff, pyright and import-linter alone
	@$(PYTHON) scripts/dev.py lint

setup:  ## Only set up, for development
	@$(PYTHON) scripts/dev.py setup $(ARGS)

lock:  ## Write requirements.lock and the list of Kafka's jars anew (ARGS=--upgrade)
	@$(PYTHON) scripts/dev.py lock $(ARGS)

audit:  ## Look for known holes in what requirements.lock pins (asks PyPI)
	@$(PYTHON) scripts/dev.py audit $(ARGS)

SEEDS ?= 500
simulate:  ## Crash the agents at every turn of a virtual clock, and audit (SEEDS=20000, SEED=17 one again)
	@.venv/bin/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(SEEDS)) $(ARGS)

MINUTES ?= 120
soak:  ## Two hours of load with a fault every five minutes: does anything grow (MINUTES=120, SEED=7, ARGS=--record)
	@.venv/bin/python -m tests.soak --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

ROUNDS ?= 1
faults:  ## Kill, freeze, cut and fill under load, and audit (SEED=7 ROUNDS=10 ROWS=F1,F6.one-node, ARGS="--record --minutes 30")
	@.venv/bin/python -m tests.faults --rows "$(ROWS)" --rounds $(ROUNDS) $(if $(SEED),--seed $(SEED)) $(ARGS)

clean:  ## Remove the environment, caches and what processes wrote
	@$(PYTHON) scripts/dev.py clean

help:
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do printf '  make %-7s %s\n' "$$name" "$$text"; done
