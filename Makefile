# Every target sets up what it needs (tools/bootstrap.py); run plain `make` for this list.
PYTHON ?= $(shell command -v python3 || command -v python3.13 || command -v python3.12 || command -v python3.11)
BOOTSTRAP = $(or $(PYTHON),$(error Turnpike needs Python 3.11, 3.12 or 3.13 and found no python3. Install one, or say: make $@ PYTHON=/path/to/python3)) tools/bootstrap.py
BIN = .venv/bin

.DEFAULT_GOAL := help
.PHONY: help run test test-stripe check fix migrate lock assets soak chaos soak-books bench-ledger bench-gateway bench-routing bench-routing-http \
	bench-hosting example-torch bench-hosting-scheduler

help: ## Show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-24s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## Start everything: web, worker, beat, simulated providers (PORT=8000 HOST=127.0.0.1)
	@$(BOOTSTRAP)
	@exec $(BIN)/python manage.py serve

test: ## Run the whole suite with its own PostgreSQL and Redis (T="tests/billing -k holds" for a part)
	@$(BOOTSTRAP) --dev
	@exec $(BIN)/python tools/test.py $(T)

check: ## Format, lint, types, import contracts, missing migrations, dead dependencies
	@$(BOOTSTRAP) --dev
	@exec $(BIN)/python tools/check.py

fix: ## Format, and mend what the linter can mend
	@$(BOOTSTRAP) --dev
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

migrate: ## Write missing migrations and apply them
	@$(BOOTSTRAP)
	@$(BIN)/python manage.py makemigrations && $(BIN)/python manage.py migrate

lock: ## Resolve requirements*.in again, with hashes, for Python 3.11-3.13 on Linux and macOS
	@$(BOOTSTRAP) --dev
	@$(BIN)/python tools/lock.py

assets: ## Build the front end into static/
	@$(BOOTSTRAP) --assets

soak: ## Send 20,000 requests made from our OpenAPI document; none may end in a 5xx
	@$(BOOTSTRAP) --dev
	@FUZZ_CASES=20000 exec $(BIN)/python tools/test.py tests/routing/api/test_fuzz.py -q -s

soak-books: ## A million random steps of money against a model, checked after each (an hour and a half beside other work)
	@$(BOOTSTRAP) --dev
	@SOAK_STEPS=1000000 exec $(BIN)/python tools/test.py tests/billing/books/test_machine.py -q -n 2

test-stripe: ## The scenarios at Stripe itself, with a test account's key (sk_test_…) in STRIPE_TEST_KEY; skipped without
	@$(BOOTSTRAP) --dev
	@if [ -z "$$STRIPE_TEST_KEY" ]; then echo "skipped: STRIPE_TEST_KEY is not set (a test account's key, sk_test_…)"; \
	else AT_STRIPE=1 exec $(BIN)/python tools/test.py tests/billing/at_stripe -q; fi

chaos: ## 100 predictions at once over two workers, one of which is killed every 5 s (CHAOS_PREDICTIONS=n)
	@$(BOOTSTRAP) --dev
	@CHAOS=1 exec $(BIN)/python tools/test.py tests/chaos -q -s

test-docker-again: ## A container's build made again as on a second host, with an engine (a minute)
	@$(BOOTSTRAP) --dev
	@DOCKER_AGAIN=1 exec $(BIN)/python tools/test.py tests/execution/docker/test_again.py -q -n0

bench-ledger: ## Measure hold and settle, on SQLite and PostgreSQL
	@$(BOOTSTRAP) --dev
	@$(BIN)/python -m benchmarks.ledger

bench-gateway: ## Measure what the gateway adds to a chat
	@$(BOOTSTRAP) --dev
	@$(BIN)/python -m benchmarks.gateway

bench-hosting: ## Measure what hosting adds to a run, and an upload's way to its first result (ARGS="--runs 100")
	@$(BOOTSTRAP) --dev
	@$(BIN)/python -m benchmarks.hosting $(ARGS)

example-torch: ## Build examples/paint-torch with torch and paint, on a GPU where the host gives one (1 to 5 GB)
	@$(BOOTSTRAP) --dev
	@EXAMPLE_TORCH=1 exec $(BIN)/python tools/test.py tests/torch -q -s

bench-routing: ## Simulate the router against the baselines (ARGS="--hold-out --fleet FILE --trace FILE --seeds N --ablations")
	@$(BOOTSTRAP) --dev
	@$(BIN)/python -m benchmarks.routing $(ARGS)

bench-routing-http: ## The same over real HTTP, against six simulated providers (ARGS="--repeats N --times N --late-headers")
	@$(BOOTSTRAP) --dev
	@$(BIN)/python -m benchmarks.routing.wire $(ARGS)

bench-hosting-scheduler: ## Simulate placement, eviction and scaling on 1,000 GPUs (ARGS="--seeds N --load PERCENT --ablations")
	@$(BOOTSTRAP) --dev
	@$(BIN)/python -m benchmarks.scheduling $(ARGS)
