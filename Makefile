# Two commands do everything: `go run ./cmd/yunhe demo` and `make test`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

TOOLS        := $(CURDIR)/.tools
INFLUXD      := $(TOOLS)/influxd
INFLUXD_MOD  := github.com/influxdata/influxdb/cmd/influxd@v1.8.10
VERSION      ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS      := -s -w -X main.version=$(VERSION)
# Packages whose tests are run a second time under the race detector.
RACE         := ./edge/... ./collector/... ./api/... ./internal/...
FUZZTIME     ?= 2s

export YUNHE_INFLUXD := $(INFLUXD)

.PHONY: help test race fuzz bench size tools debian demo build check clean

help: ## list the targets
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n",$$1,$$2}' $(MAKEFILE_LIST)

demo: ## live values from simulated devices, on a page of this machine
	go run ./cmd/yunhe demo

build: ## both programs into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/yunhe ./cmd/yunhe-edge

test: tools check ## install what tests need, then run every test
	go test -timeout 15m ./...
	go test -race -short -timeout 15m $(RACE)
	@.ci/fuzz $(FUZZTIME)

check: ## formatting and vet
	@bad=$$(git ls-files '*.go' | xargs gofmt -l); if [ -n "$$bad" ]; then echo "gofmt -w these files: $$bad"; exit 1; fi
	go vet ./...

race: tools ## every test under the race detector
	go test -race -timeout 30m ./...

fuzz: ## every fuzz target for a minute each (FUZZTIME=...)
	@.ci/fuzz $(if $(filter command line,$(origin FUZZTIME)),$(FUZZTIME),60s)

bench: tools ## measured figures of README.md, side by side in one run
	go run ./bench

size: ## yunhe-edge for every gateway architecture, static, at most 15 MB
	@.ci/size

tools: debian $(INFLUXD) ## mosquitto, chromium and influxd for the tests

debian:
	@.ci/debian mosquitto chromium curl $$(command -v npm >/dev/null || echo npm)

$(INFLUXD):
	@echo "building influxd 1.8.10 from source, once (about 3 minutes on two cores)"
	@mkdir -p $(TOOLS)
	cd $(TOOLS) && GOBIN=$(TOOLS) CGO_ENABLED=0 go install $(INFLUXD_MOD)

clean: ## remove what was built; the tools stay
	rm -rf bin
