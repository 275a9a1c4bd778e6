# Roster: `make run` boots the OS in QEMU, `make test` proves it.
#
# Everything that is made lands in build/. What differs between architectures
# stands in cmd/forge/arch.go (building) and scripts/qemu.sh (running).

ARCH    ?= amd64
FLAVOUR ?= vm
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo v0.0.0-dev)
DENSE   ?=
KEYS    ?= keys
RELEASE_ARCHES ?= amd64 arm64
export ARCH FLAVOUR KEYS
export PATH := $(PATH):/usr/local/go/bin
export ROS_BUILD ?= build

out    := $(ROS_BUILD)/$(ARCH)$(if $(filter-out vm,$(FLAVOUR)),-$(FLAVOUR))
sudo   := $(if $(filter 0,$(shell id -u)),,sudo -E env "PATH=$(PATH)")
forge   = $(sudo) $(ROS_BUILD)/forge -build $(ROS_BUILD) -arch $(ARCH) -flavour $(FLAVOUR) -version $(VERSION) -keys $(KEYS) $(if $(DENSE),-dense)

.DEFAULT_GOAL := help
.PHONY: help run build iso disks catalog keys release download sizes tools root forge test test-unit test-cosign test-repro test-vm test-all test-catalog lint bench clean update generate

##@ Every day
run: build ## Boot the ISO in QEMU on this terminal; ARCH=arm64, FIRMWARE=uefi, DISK=FILE, BOOT=disk
	@scripts/run.sh $(out)

test: lint test-unit test-repro test-vm ## Prove it: lint, unit tests, two equal builds, VM tests

test-unit: tools ## Unit tests: no root, no network, no VM
	go test ./...

test-vm: build ## Boot the ISO in QEMU and check it from inside and outside
	scripts/test-vm.sh

test-repro: build ## Build everything a second time and compare the bits
	@VERSION=$(VERSION) scripts/test-repro.sh

##@ Building
build: tools root forge ## Build programs, images, OS image, initrd and ISO for ARCH
	@echo "building $(ARCH) in $(out) (steps with nothing to do are not shown)"
	@$(forge) build

iso: build ## The same; tells where the ISO is
	@ls -lh $(out)/roster.iso

disks: build ## Disk images with Roster installed: raw, qcow2, vmdk
	@$(forge) disks
	@ls -lhs $(out)/roster.raw $(out)/roster.qcow2 $(out)/roster.vmdk

keys: forge ## A key pair that signs releases, in KEYS (default keys/); COSIGN_PASSWORD seals it
	@$(ROS_BUILD)/forge -build $(ROS_BUILD) -keys $(KEYS) keys

release: tools root forge ## VERSION=v1.2.3: everything for download, for RELEASE_ARCHES, in build/release (some minutes)
	@case "$(VERSION)" in v[0-9]*.[0-9]*.[0-9]*) ;; *) echo "make release: say VERSION=v1.2.3" >&2; exit 2;; esac
	@$(forge) -arches "$(RELEASE_ARCHES)" release

# The image is packed in small blocks by something that unpacks quickly, since it
# is read in that form at every boot. On the way to a machine it is smaller: lz4
# leaves text of its own that zstd finds again.
download: build ## The OS image as it travels in a release (some minutes)
	@$(forge) pack
	@ls -lh $(out)/os.img.packed

catalog: tools root forge ## The catalog with its images: a repository in build/ARCH/catalog
	@$(forge) catalog
	@du -sh $(ROS_BUILD)/$(ARCH)/catalog

sizes: build ## What every image, layer and binary weighs
	@$(forge) sizes

generate: tools ## Write docs/cli.md, docs/config.md and the golden files anew
	go test ./config ./cmd/ros/ ./internal/containers/ -update

update: ## Forget the Debian package lists and what was resolved from them
	rm -rf $(ROS_BUILD)/apt

clean: ## Remove everything that was made
	$(sudo) rm -rf $(ROS_BUILD)

##@ Before a merge
lint: tools ## gofmt, go vet, staticcheck, generated pages, shellcheck
	@scripts/lint.sh

test-cosign: tools ## cosign's own code checks keys, signatures and where they lie (fetches its modules)
	cd tests/cosign && go test ./...

test-all: build disks catalog test-cosign ## The VM tests with their slow matrices
	ROS_TEST_ALL=1 scripts/test-vm.sh

test-catalog: build catalog ## Start every service of the catalog in a VM, without a network
	ROS_TEST_ALL=1 ROS_ARCH=amd64 go test -tags vm -count 1 -timeout 60m -run 'TestBoot/amd64/^catalog$$' ./tests/vm

bench: download ## Measure beside minimal Debian with Docker; writes docs/benchmarks.md
	$(sudo) go run ./tests/bench

# --- not for typing --------------------------------------------------------

tools:
	@scripts/tools.sh

root: tools
	@mkdir -p $(ROS_BUILD) # before sudo does: programs are built without it
	@$(sudo) scripts/build-root.sh $(ROS_BUILD)/root

forge: tools
	@mkdir -p $(ROS_BUILD)
	@go build -o $(ROS_BUILD)/forge ./cmd/forge

help: ## Show this list
	@awk 'BEGIN { FS = ":.*## "; print "usage: make TARGET [ARCH=amd64|arm64] [FLAVOUR=vm|metal]" } \
	  /^##@ /               { print "\n" substr($$0, 5) } \
	  /^[a-z][a-z-]*:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
