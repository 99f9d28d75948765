# Each target calls the tool itself; everything lands in .venv, .lab and ~/.cache/aansluitkit.
VENV := .venv/bin

.PHONY: test lint unit clean

test: lint unit

lint: $(VENV)/aansluitkit.ready
	$(VENV)/ruff check . && $(VENV)/ruff format --check . && $(VENV)/mypy

unit: $(VENV)/aansluitkit.ready
	$(VENV)/pytest -q

$(VENV)/aansluitkit.ready: requirements.lock pyproject.toml
	python3 -m venv .venv
	$(VENV)/pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	$(VENV)/pip install -q --disable-pip-version-check --no-deps -e .
	touch $@

clean:
	rm -rf .venv .lab
