# The commands of this project; the README lists them in one table.
GO        ?= go
BIN       := .bin
LINT      := $(BIN)/golangci-lint
LINT_VERSION := v2.15.0
CYCLONEDX_VERSION := v1.9.0
VERSION   ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS   := -s -w -buildid= -X main.version=$(VERSION)
# Packages that don't import argo-cd: they are tested with the race detector as well.
LIGHT     := ./image ./resolve ./cache ./config ./registry ./reconcile ./redis ./webhook ./metrics ./writeback/... ./migrate ./test/update

# Static binaries, and one build of the dependencies for all targets: with other flags Go would compile Argo CD and Kubernetes
# once more for the tests. Only the race detector needs cgo.
export CGO_ENABLED := 0
export GOFLAGS := $(GOFLAGS) -trimpath

.PHONY: all build tools test race lint parity parity-v3 bench soak acr demo record e2e deps image image-test release clean

all: build

build: ## the binary, reproducible and static
	$(GO) build -buildvcs=false -ldflags '$(LDFLAGS)' -o $(BIN)/tagpin ./cmd/tagpin

deps: ## the programs that tests run for real: installed when missing
	@test/deps.sh

tools: # helm and kustomize, which tests in several packages compare with
	$(GO) build -o $(BIN)/tools/ helm.sh/helm/v3/cmd/helm sigs.k8s.io/kustomize/kustomize/v5

test: deps build tools ## the whole suite, real components included
	$(GO) vet ./...
	TAGPIN_BIN=$(CURDIR)/$(BIN)/tagpin TAGPIN_TOOLS=$(CURDIR)/$(BIN)/tools $(GO) test ./...
	CGO_ENABLED=1 TAGPIN_BIN=$(CURDIR)/$(BIN)/tagpin $(GO) test -race -short $(LIGHT)

race: deps build ## the whole suite with the race detector (compiles Argo CD a second time)
	CGO_ENABLED=1 TAGPIN_BIN=$(CURDIR)/$(BIN)/tagpin $(GO) test -race ./...

lint: $(LINT) ## the style budget of .golangci.yml
	$(LINT) run ./...

$(LINT): Makefile
	GOBIN=$(CURDIR)/$(BIN) $(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	@touch $@

parity: build ## every chart and overlay below DIR, rendered by Argo CD itself and by tagpin: exit status 1 where they differ
	@test -d "$(DIR)" || { echo "usage: make parity DIR=directory" >&2; exit 1; }
	@ARGOCD_LOG_LEVEL=fatal TAGPIN_BIN=$(CURDIR)/$(BIN)/tagpin $(GO) test ./test/parity -run '^TestDirectory$$' -count 1 -v \
		-timeout 0 -args -dir "$(abspath $(DIR))"

# Argo CD 3 takes long to compile: its program is kept outside of the repository.
ARGOCD_V3 := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/tagpin/argocd-v3

parity-v3: build tools ## the written cases of parity with the repo-server of Argo CD 3.5
	cd test/argocdv3 && $(GO) build -o $(ARGOCD_V3) .
	TAGPIN_BIN=$(CURDIR)/$(BIN)/tagpin TAGPIN_TOOLS=$(CURDIR)/$(BIN)/tools $(GO) test ./test/parity \
		-run '^(TestCases|TestFreshValues)$$' -count 1 -args -argocd $(ARGOCD_V3)

bench: deps build tools ## speed, as ratios and counts
	$(GO) test -run '^$$' -bench . -benchmem ./image ./resolve ./cache ./registry ./render ./plugin ./writeback/... ./test/update
	$(GO) run ./test/bench
	$(GO) test ./test/update -run SteadyState -v -count 1
	TAGPIN_BIN=$(CURDIR)/$(BIN)/tagpin $(GO) test ./test/argocd -run TestCost -v -count 1 -args -costs

acr: deps ## a fake of Alibaba Cloud Container Registry under its own names, to try things out; ACR="--help" for what it can do
	@$(GO) run ./test/acr/run $(ACR)

sim: ## the update loop of up to 10,000 applications, in virtual time
	$(GO) test ./test/sim -run '^TestSimulate$$' -count 1 -v -timeout 0 -args -sim $(SIM)

soak: deps ## pushes, people and every outage of Redis for SOAK (15m): at the end every pin must be right
	$(GO) test ./test/update -run '^TestSoak$$' -count 1 -v -timeout 0 -soak $(or $(SOAK),15m)

demo: build ## the main job, with nothing to configure
	@$(GO) run ./examples/demo

record: build ## docs/demo.svg: what make demo shows, as a picture
	$(GO) run ./examples/demo > $(BIN)/demo.txt
	$(GO) run ./examples/record -title 'make demo' -from 'Somebody pushes v2.0' -to 'v2.1 is newer' < $(BIN)/demo.txt > docs/demo.svg

e2e: build tools ## the guide on a real Argo CD control plane; the first time builds Argo CD and Kubernetes (RUN=regexp: some of it)
	@test/deps.sh e2e
	TAGPIN_E2E=1 TAGPIN_E2E_LOGS=$(CURDIR)/$(BIN)/e2e TAGPIN_BIN=$(CURDIR)/$(BIN)/tagpin TAGPIN_TOOLS=$(CURDIR)/$(BIN)/tools \
		$(GO) test ./test/e2e -count 1 -v -timeout 2h -run '$(RUN)'

# docker, podman, or another program with their commands and arguments.
ENGINE    ?= docker
IMAGE     ?= tagpin:$(VERSION)

image: ## the container image, for this machine's architecture
	$(ENGINE) build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(shell git rev-parse HEAD) $(BUILD_ARGS) -t $(IMAGE) .

image-test: image tools ## the image, run as the sidecar of a real repo-server
	TAGPIN_IMAGE=$(IMAGE) TAGPIN_ENGINE='$(ENGINE)' TAGPIN_TOOLS=$(CURDIR)/$(BIN)/tools $(GO) test ./test/argocd -run '^TestImage$$' -count 1 -v

release: tools $(BIN)/cyclonedx-gomod ## dist/: archives, SBOMs, install manifests and checksums of this commit, by the name of its tag
	$(GO) run ./deploy/release -version $(VERSION) -out dist -kustomize $(BIN)/tools/kustomize -cyclonedx $(BIN)/cyclonedx-gomod

$(BIN)/cyclonedx-gomod: Makefile
	GOBIN=$(CURDIR)/$(BIN) $(GO) install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)
	@touch $@

clean:
	rm -rf $(BIN) dist
