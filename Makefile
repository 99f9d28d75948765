# Each target calls the tool itself; everything lands in .venv, .lab and ~/.cache/aansluitkit.
VENV := .venv/bin
ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
export PATH := $(CURDIR)/$(VENV):$(PATH)

.PHONY: lab lab-down test lint unit bench bootstrap clean

lab: bootstrap
	@$(ROOT) $(VENV)/aansluitkit lab up inventories/lab

lab-down: bootstrap
	@$(ROOT) $(VENV)/aansluitkit lab down

test: bootstrap
	@$(ROOT) $(VENV)/python tests/run.py

lint: bootstrap
	@$(VENV)/python tests/run.py lint

unit: bootstrap
	@$(VENV)/python tests/run.py unit

bench: bootstrap
	@$(ROOT) $(VENV)/python tests/bench/lab.py

bootstrap:
	@./bootstrap

clean:
	rm -rf .venv
