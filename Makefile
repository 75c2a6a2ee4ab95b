# Two commands: `make demo` grades the bundled weekends, `make test` passes the tests.
# `make bench` measures how fast all of history is graded, on the lake in DRIVEGRADE_HOME.
# `make audit` asks whether a locked version has a known fault; it needs the internet.
# Each creates the environment from the lock when it is missing or out of date.

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
UV := $(shell command -v uv 2>/dev/null)

.PHONY: demo test soak bench audit check lock clean

demo: $(STAMP)
	$(VENV)/bin/drivegrade demo

# The tests start many processes; each would compile every module if none may keep the result.
test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/pytest

# Hours of killing, cutting and filling; prints what held, and the seed that replays it.
soak: export DRIVEGRADE_SOAK = 1
soak: export PYTHONDONTWRITEBYTECODE =
soak: $(STAMP)
	$(VENV)/bin/pytest -q tests/reliability

bench: $(STAMP)
	$(VENV)/bin/python -m benchmarks.grading_v2
	$(VENV)/bin/python -m benchmarks.grading --quick \
		"$$($(VENV)/bin/python -c 'from loaders.settings import Settings; print(Settings().lake)')"

# Strict, because a version that could not be looked up was not found to be sound.
audit:
	uv tool run pip-audit --strict --disable-pip --require-hashes --requirement requirements.lock

$(STAMP): requirements.lock pyproject.toml
ifdef UV
	uv venv --quiet --allow-existing --python ">=3.11" $(VENV)
	uv pip sync --quiet --compile-bytecode --require-hashes --python $(VENV)/bin/python requirements.lock
	uv pip install --quiet --no-deps --no-build-isolation --python $(VENV)/bin/python --editable .
else
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --require-hashes --requirement requirements.lock
	$(VENV)/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
endif
	touch $(STAMP)

lock:
	uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header \
		--python-version 3.11 --extra service --extra report --extra notebook \
		--group dev pyproject.toml --output-file requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
