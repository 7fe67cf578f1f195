# What one types. `make quickstart` runs it, `make test` tests it; both work on a machine where nothing was prepared.
SHELL := /bin/bash
PREFIX ?= /usr/local
RLXC_DIR ?= /var/lib/rlxc
RUNS ?= 15
export PREFIX RLXC_DIR

.PHONY: help quickstart build install uninstall check unit e2e test bench

help:
	@sed -n 's/^## //p' Makefile

## make quickstart   install what is needed, build, start rlxcd, launch a Debian container and show it
quickstart:
	@scripts/quickstart

## make install      build and put rlxc, rlxcd and rlxc-monitor below $(PREFIX), start the daemon
install: build
	@scripts/install

## make uninstall    stop the daemon and remove the programs; containers and images stay in $(RLXC_DIR)
uninstall:
	@scripts/uninstall

build:
	@scripts/packages build
	cargo build --release --locked -p rlxc-client -p rlxc-server -p rlxc-container

## make check        formatting, lints and the tests that need nothing but a compiler
check: lint unit

lint:
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

unit:
	@scripts/tests unit

## make e2e          end-to-end tests on real containers (as root, or by sudo)
e2e:
	@scripts/tests e2e

## make test         all of it: installs what is needed, lints, unit tests, end-to-end tests
test:
	@scripts/packages build test
	@$(MAKE) --no-print-directory lint
	@scripts/tests all

## make bench        medians of whole commands, memory, beside LXD and others where they are installed (RUNS=15)
bench:
	@scripts/packages build test
	cargo build --release --locked -p rlxc-client -p rlxc-server -p rlxc-container -p rlxc-tests
	@scripts/as-root target/release/rlxc-bench --runs $(RUNS)
