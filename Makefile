# Each target calls the tool itself; everything lands in .venv, .lab and ~/.cache/aansluitkit.
VENV := .venv/bin
ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo --preserve-env=ADAPTER,EBMS_ADMIN_JAR,BUNDLE)
export PATH := $(CURDIR)/$(VENV):$(PATH)

.PHONY: lab lab-down test lint unit fuzz bench docs bootstrap clean

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

fuzz: bootstrap
	@$(VENV)/python tests/fuzz/read.py

bench: bootstrap
	@$(VENV)/python tests/bench/check.py
	@$(VENV)/python tests/bench/documents.py
	@$(ROOT) $(VENV)/python tests/bench/firewall.py
	@$(ROOT) $(VENV)/python tests/bench/load_balancer.py
	@$(ROOT) $(VENV)/python tests/bench/messages.py
	@$(ROOT) $(VENV)/python tests/bench/lab.py
	@$(ROOT) $(VENV)/python tests/bench/backup.py

docs: bootstrap
	@$(VENV)/aansluitkit documents inventories/lab --netwerkoverzicht --output .lab/documents
	@cp .lab/documents/netwerkoverzicht.svg docs/netwerkoverzicht.svg

bootstrap:
	@./bootstrap

clean:
	rm -rf .venv
