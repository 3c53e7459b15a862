# The front door. Each target is one call of Nix; nix/pick decides which package set it uses.
#   make run UEFI=on SMP=2       options are variables: `make help` lists them
.PHONY: run run-debug gdb test stress integrity console-speed disk-speed iso disk fmt clippy shell clean help
.DEFAULT_GOAL := help

# Where the writable disk and what else a run leaves behind is kept.
export RUST_OS_STATE := $(CURDIR)/.state/run

run: ## Boot to a shell in QEMU on this terminal (Ctrl-A x ends it)
	@nix=$$(nix/pick) && $$nix run .#qemu $$(nix/base)

run-debug: ## The same with the debug build, halted until `make gdb` connects
	@nix=$$(nix/pick) && $$nix run .#debug $$(nix/base)

gdb: ## Debug the system that `make run-debug` started in another terminal
	@nix=$$(nix/pick) && $$nix run .#gdb $$(nix/base)

test: ## Run every check; the last line counts them
	@nix/test

stress: ## An hour of stress on four CPUs, or SMP=1, 2, 8, 16; `make test` does three minutes of it
	@nix=$$(nix/pick) && $$nix build .#stress-hour-$(or $(SMP),4) -L --no-link

# The tests of the crate cut the power in 14 records of what was written, 65 times each; the other 100 cuts end QEMU.
integrity: ## A thousand power cuts, 10,000 damaged images, 100,000 files, judged by e2fsck (20 minutes to an hour)
	@nix=$$(nix/pick) && $$nix develop -c env EXT2_CUTS=65 EXT2_IMAGES=2500 EXT2_TREE_FILES=100000 EXT2_TREE_MIB=3072 \
	  cargo test --release -p ext2 && $$nix build .#integrity-long -L --no-link

console-speed: ## Compare the speed of text on the screen with Linux's in the same QEMU (minutes)
	@nix=$$(nix/pick) && case $$nix in */nix/host/nix) export RUST_OS_LINUX=$${RUST_OS_LINUX:-$$(nix/host/linux)} ;; esac && \
	  $$nix run .#console-speed

disk-speed: ## Compare the speed of the file system on a disk with Linux's in the same QEMU (ROUNDS=N, SMP=N)
	@nix=$$(nix/pick) && case $$nix in */nix/host/nix) export RUST_OS_LINUX=$${RUST_OS_LINUX:-$$(nix/host/linux)} && \
	  export RUST_OS_LINUX_MODULES=$${RUST_OS_LINUX_MODULES-$$(dirname "$$RUST_OS_LINUX")/modules} ;; esac && \
	  $$nix run .#disk-speed -- $(if $(ROUNDS),--rounds $(ROUNDS))

iso: ## Build the hybrid ISO: result-iso
	@nix=$$(nix/pick) && $$nix build .#iso -o result-iso && realpath result-iso

disk: ## Build the raw disk image: result-disk
	@nix=$$(nix/pick) && $$nix build .#disk -o result-disk && realpath result-disk

fmt: ## Format the Rust sources
	@nix=$$(nix/pick) && $$nix develop -c cargo fmt --all

clippy: ## Run clippy, warnings being errors
	@nix=$$(nix/pick) && $$nix build --no-link -L .#checks.x86_64-linux.clippy

shell: ## A shell with the toolchain, QEMU and GDB
	@nix=$$(nix/pick) && $$nix develop

clean: ## Remove what builds and runs left in this folder (the Nix store stays)
	rm -rf .state target result result-*

help: ## This text
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20
	@echo
	@echo "  Variables for run and run-debug:"
	@echo "    BOOT=direct|iso|disk   what QEMU boots (direct: kernel and root disk)"
	@echo "    UEFI=on                UEFI firmware instead of a BIOS"
	@echo "    GRAPHICS=on            a window beside the terminal"
	@echo "    CMDLINE='...'          more of the kernel's command line"
	@echo "    RUST_BUILD_MODE=debug  the debug build of the kernel"
	@echo "    SMP=N MEM=SIZE         CPUs and memory, default 1 and 256M"
	@echo "    SHARE=FOLDER           a folder of this machine, in the system /mnt/share"
	@echo "    RUN_QEMU_GDB=yes       QEMU itself in GDB"
	@echo "  PACKAGES=flake|host      the flake's public inputs or nix/host; default: what can be reached"
