# Each target calls the tool itself; everything lands in .venv, .lab and ~/.cache/aansluitkit.
VENV := .venv/bin
ROOT := $(shell [ "$$(id -u)" = 0 ] || echo sudo --preserve-env=ADAPTER,EBMS_ADMIN_JAR,BUNDLE)
export PATH := $(CURDIR)/$(VENV):$(PATH)

.PHONY: help install lab lab-down test long lint unit fuzz bench docs clean

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: ## install the kit's packages and its virtual environment
	@./bootstrap

lab: install ## build a whole connection on this machine and prove it
	@$(ROOT) $(VENV)/aansluitkit lab up inventories/lab

lab-down: install ## remove the lab
	@$(ROOT) $(VENV)/aansluitkit lab down

test: install ## run the linters, the unit tests, the roles' scenarios and the lab's tests
	@$(ROOT) $(VENV)/python tests/run.py

long: install ## run every test of the lab, also those that take too much time for each commit
	@$(ROOT) $(VENV)/python tests/run.py long

lint: install ## run the linters
	@$(VENV)/python tests/run.py lint

unit: install ## run the unit tests
	@$(VENV)/python tests/run.py unit

fuzz: install ## feed malformed messages to the adapter's parsers for twenty seconds
	@$(VENV)/python tests/fuzz/read.py

bench: install ## measure durations, messages per second and memory
	@$(VENV)/python tests/bench/check.py
	@$(VENV)/python tests/bench/documents.py
	@$(ROOT) $(VENV)/python tests/bench/firewall.py
	@$(ROOT) $(VENV)/python tests/bench/load_balancer.py
	@$(ROOT) $(VENV)/python tests/bench/messages.py
	@$(ROOT) $(VENV)/python tests/bench/lab.py
	@$(ROOT) $(VENV)/python tests/bench/backup.py

docs: install ## draw the netwerkoverzicht of the lab for docs/
	@$(VENV)/aansluitkit documents inventories/lab --netwerkoverzicht --output .lab/documents
	@cp .lab/documents/netwerkoverzicht.svg docs/netwerkoverzicht.svg

clean: ## remove the virtual environment
	rm -rf .venv
