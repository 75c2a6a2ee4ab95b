# Two commands: `make demo` grades the bundled weekends, `make test` passes the tests.
# `make bench` measures how fast all of history is graded, on the lake in DRIVEGRADE_HOME.
# `make audit` asks whether a locked version has a known fault; it needs the internet. `make sbom`
# lists the locked versions for other scanners.
# Each creates the environment from the lock when it is missing or out of date.

PYTHON ?= python3
VENV := .venv
STAMP := $(VENV)/.installed
UV := $(shell command -v uv 2>/dev/null)

.PHONY: demo test soak bench docs audit sbom lock clean

demo: $(STAMP)
	$(VENV)/bin/drivegrade demo

# The tests start many processes; each would compile every module if none may keep the result.
test: export PYTHONDONTWRITEBYTECODE =
test: $(STAMP)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/pytest

# Every test in its long size; prints what the reliability tests counted, and the seed that
# replays it.
soak: export DRIVEGRADE_SOAK = 1
soak: export PYTHONDONTWRITEBYTECODE =
soak: $(STAMP)
	$(VENV)/bin/pytest -q

bench: $(STAMP)
	$(VENV)/bin/python -m benchmarks.grading_v2
	$(VENV)/bin/python -m benchmarks.grading --quick \
		"$$($(VENV)/bin/python -c 'from loaders.settings import Settings; print(Settings().lake)')"

docs: $(STAMP)
	$(VENV)/bin/sphinx-build -q -W -b html docs build/docs

# Strict, because a version that could not be looked up was not found to be sound.
# AUDIT_SERVICE=osv asks the other public record that pip-audit knows.
AUDIT_SERVICE ?= pypi
audit:
	uv tool run pip-audit --strict --disable-pip --require-hashes \
		--vulnerability-service $(AUDIT_SERVICE) --requirement requirements.lock || { echo \
		"The audit did not pass. Either a fault is named above, with the version that mends it;" \
		"or a version could not be looked up, and then nothing was found out: repeat it where" \
		"the public record of known faults can be reached, as a mirror of packages has none." >&2; \
		exit 1; }

# What is installed, by version and hash, in the form that scanners read: CycloneDX.
sbom:
	mkdir -p dist && uv tool run --from cyclonedx-bom cyclonedx-py requirements \
		--output-reproducible --output-file dist/sbom.json requirements.lock

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
