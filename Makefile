# Every command a person types. Bare `make` lists them; README.md says more.
#
# Values never become part of a shell line: they travel to the scripts in tools/ through the environment, so that
# `;`, quotes, `$`, `!` and backslashes in CMDLINE arrive as typed.

.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

RUST_BUILD_MODE ?= debug
UEFI            ?= on
GRAPHICS        ?= off
SMP             ?= 4
MEM             ?= 2G
ACCEL           ?= auto
RUN_QEMU_GDB    ?= no

# $(value …) keeps make from expanding a `$` inside what the user wrote.
override CMDLINE    := $(value CMDLINE)
override QEMU_EXTRA := $(value QEMU_EXTRA)
override DISK       := $(value DISK)
override COM2       := $(value COM2)
override ONLY       := $(value ONLY)
override COUNT      := $(value COUNT)
override KIND       := $(value KIND)
override SEED       := $(value SEED)
export BOCHS_DEBUG

# Nor does user/Makefile get them as make variables, which it would expand.
MAKEOVERRIDES =

export RUST_BUILD_MODE UEFI GRAPHICS VIDEO SMP MEM ACCEL RUN_QEMU_GDB CMDLINE QEMU_EXTRA DISK COM2 ONLY COUNT KIND SEED

.PHONY: help run check test fuzz bench run-debug gdb bochs iso disk doc lint fmt setup clean kernel programs needs

help:
	@cat tools/help.txt

## Building

setup:
	@tools/setup --say

needs:
	@tools/setup

kernel: needs
	@tools/kernel

programs: needs
	@$(MAKE) -s -C user

iso: kernel
	@tools/mkiso build/russet-$(RUST_BUILD_MODE).iso

disk: programs
	@tools/mkdisk

## Running

run: kernel disk
	@tools/run

run-debug: kernel disk
	@RUN_QEMU_GDB=yes tools/run

gdb:
	@tools/gdb

bochs: kernel disk
	@tools/bochs

# Linux and Russet in the same machine; the release kernel, whatever RUST_BUILD_MODE says.
bench: export RUST_BUILD_MODE = release
bench: kernel disk
	@tools/bench

## Checking

check: needs
	@tools/check

test: check

fuzz: needs
	@tools/fuzz

lint: needs
	@ONLY=lint/ tools/check

fmt: needs
	@tools/toolchain host fmt --all
	@tools/toolchain in user/rust-demo host fmt
	@tools/toolchain in tools/traces host fmt
	@tools/toolchain in tools/tracing host fmt

doc: needs
	@tools/toolchain kernel doc --workspace --no-deps --document-private-items

clean:
	rm -rf build kernel/target user/rust-demo/target tools/traces/target tools/tracing/target test/out
