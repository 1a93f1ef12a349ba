# Twokey. "make" lists what can be made.
SHELL   := /bin/bash
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.6.1

# Long tests that the race detector makes many times as long: make test has them without it,
# make race with it. No real server changes them.
LONG := TestKilledAnywhere|TestNobodyIsForgotten|TestNoSecretIsSeen|TestNoDocumentIsSeen|TestCrashPoints|TestReporterKilledAnywhere|TestSenderThousandLiveRuns|TestSenderEndingsPassFiles|TestSenderFileLostReplies|TestRenderHuge
# Packages of which crash sweeps are the larger part: the same.
SWEEPING := /(deploy|ops/elastic/indices)(/|$$)
# What no real server changes, and is not run again beside one.
NOT_AGAIN := $(LONG)|TestZombie|TestReindexKilledAnywhere|TestReindexZombie|TestReindexLateWrite|TestDeployKilledAnywhere|Test(Copy|CopyDual|CopyMadeAgain|Campaign|SwapBack)Crashes|TestCopyLostReplies|TestCampaignLargeShardLeavesZone

.DEFAULT_GOAL := help
.PHONY: help run build test race check integration soak bench-reindex image clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## the sandbox: a Slack-like page, a simulated cluster, nothing else needed
	go run ./cmd/twokey demo

build: ## bin/twokey, static
	CGO_ENABLED=0 go build -trimpath -tags timetzdata -ldflags '$(LDFLAGS)' -o bin/twokey ./cmd/twokey

test: ## all tests that need no outside server, most with -race (needs a C compiler: gcc)
	@command -v gcc >/dev/null || command -v cc >/dev/null || { echo "make test needs a C compiler for Go's race detector (Debian: apt-get install gcc libc6-dev)"; exit 1; }
	CGO_ENABLED=1 go test -race -parallel 8 -timeout 15m -skip '^($(LONG))$$' $$(go list ./... | grep -vE '$(SWEEPING)')
	go test -parallel 8 -timeout 15m -run '^($(LONG))$$' ./ops ./bot ./cmd/twokey
	go test -parallel 8 -timeout 15m $$(go list ./... | grep -E '$(SWEEPING)')

race: ## all tests that need no outside server, all with -race: takes long
	CGO_ENABLED=1 go test -race -parallel 8 -timeout 3h ./...

check: build ## vet, staticcheck, gofmt, import rules, and the binary alone in an empty root
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "gofmt would change these files"; exit 1; }
	go vet ./... && go vet -tags integration ./...
	go run $(STATICCHECK) -tags integration ./...
	go test -count=1 -run 'TestImport|TestCatalogue' ./cmd/twokey
	test/emptyroot bin/twokey

integration: SHELL := /bin/bash -o pipefail
integration: ## the same suites and more on real Redis, Elasticsearch, Chromium and an emulator of AWS
	go run ./test/with -- go test -tags integration -count=1 -p 1 -parallel 8 -timeout 25m -v -run '$(or $(RUN),.)' -skip '^($(NOT_AGAIN))$$' $(or $(PKG),./...) 2>&1 | test/figures

soak: ## bots killed and stopped, Redis restarted and Slack failing for ten minutes (another time: make soak TWOKEY_SOAK=3m)
	TWOKEY_SOAK=$(or $(TWOKEY_SOAK),10m) go test -tags integration -count=1 -timeout 60m -v -run TestSoak ./cmd/twokey

bench-reindex: ## how fast Twokey copies indices, beside raw _reindex, scroll+bulk and elasticdump (docs/benchmarks.md)
	go run ./test/with -redis -elasticsearch -- go run ./test/bench

image: ## the container image twokey:$(VERSION)
	docker build --build-arg VERSION=$(VERSION) -t twokey:$(VERSION) .

clean: ## remove what was built
	rm -rf bin
