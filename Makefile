# `make` prints the targets. PKG=./stix/... narrows test, race, lint, bench and fuzz.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PKG ?= ./...
FUZZTIME ?= 10s
SOAK ?= 20
TIMEOUT ?= 45m
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
GOFILES = $(shell find . -name '*.go' -not -path './.cache/*')

.PHONY: help
help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/stixbridge
	CGO_ENABLED=0 go build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o bin/stixbridge ./cmd/stixbridge

.PHONY: run
run: build ## build and run the demo: real data, no network, no account (stop with Ctrl-C)
	./bin/stixbridge run -c deploy/demo.yaml

.PHONY: demo
demo: build ## a minute and a half of faults and kills, beside OpenCTI's own client, with a scoreboard (stop with Ctrl-C)
	go run ./deploy/demo $(DEMO)

.PHONY: peers
peers: ## install what the tests run against: RabbitMQ, nats-server, nats, pycti, Chromium
	@.ci/peers

.PHONY: test
test: peers ## run all tests (PKG=./stix/... for some)
	go test -shuffle=on -timeout $(TIMEOUT) $(PKG)

.PHONY: race
race: peers ## run the tests under the race detector
	go test -race -shuffle=on -timeout 2h $(PKG)

.PHONY: lint
lint: ## check format, go vet, staticcheck
	@unformatted=$$(gofmt -l $(GOFILES)); if [ -n "$$unformatted" ]; then echo "not formatted (gofmt -w):"; echo "$$unformatted"; exit 1; fi
	go vet $(PKG)
	go run $(STATICCHECK) $(PKG)

.PHONY: fuzz
fuzz: ## fuzz every target for FUZZTIME (10s)
	@set -e; for pkg in $$(go list $(PKG)); do \
		for target in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "fuzz $$pkg $$target"; \
			go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$pkg; \
		done; \
	done

.PHONY: bench
bench: ## run the Go benchmarks, then the bench program that compares with bare clients
	go test -run '^$$' -bench . -benchmem $(PKG)
	@if ls bench/*.go >/dev/null 2>&1; then go run ./bench; fi

.PHONY: soak
soak: peers ## run the kill and fault tests at full length (SOAK kills per cell)
	SOAK=$(SOAK) go test -shuffle=on -count=1 -timeout 6h $(PKG)

.PHONY: chaos
chaos: peers ## run the fault lab: each fault once, or CHAOS=30m long; SEED=7 for the faults of a run before, BRIDGES=3
	LAB=1 CHAOS=$(CHAOS) SEED=$(SEED) BRIDGES=$(BRIDGES) go test -count=1 -v -timeout 30h -run '^TestChaos$$' ./internal/chaos

.PHONY: generate
generate: ## write the generated files anew: schema, reference pages, golden files
	go generate ./...

.PHONY: check
check: ## do what CI does
	.ci/run

.PHONY: image
image: ## build the container image (needs Docker)
	docker build -f deploy/Dockerfile --build-arg VERSION=$(VERSION) -t stixbridge:$(VERSION) .

.PHONY: clean
clean: ## remove what build and demo made (the peers in .cache stay)
	rm -rf bin data/demo
