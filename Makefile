# Everything a developer or the CI runs. `make` alone explains itself.

# Recordings and tools outside the repository that some tests use when they are
# there; those tests skip otherwise.
SITEPROBE_SHARED ?= $(abspath $(wildcard ../shared))
export SITEPROBE_SHARED

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

# SQLite flushes a file's bytes alone where that is enough: without this each flush
# writes the file system's records of the file, too.
export CGO_CFLAGS ?= -O2 -g -DHAVE_FDATASYNC=1

# The race detector costs about three times the tests' time; `make test RACE=` leaves it out.
RACE ?= -race
TIMEOUT ?= 20m
# How long `make torture` fuzzes each target.
FUZZTIME ?= 10m
# The vulnerability database is not reachable everywhere.
VULN_SECONDS ?= 60

PROTOS = $(shell git ls-files '*.proto')
BINARIES := bin/siteprobe bin/siteprobe-hub

.PHONY: help run test check build bench torture generate deps

help:
	@echo 'make run       a hub, an SNMP agent and a probe on this machine'
	@echo 'make test      all tests, with the race detector (RACE= leaves it out)'
	@echo 'make check     formatting, vet, staticcheck, go.mod, conventions; known vulnerabilities as a report'
	@echo 'make build     bin/siteprobe and bin/siteprobe-hub'
	@echo 'make bench     CPU, bytes and memory of the parts and of the whole way, beside the bare SNMP library'
	@echo 'make torture   the tests that cut power, fill disks and run for hours'
	@echo 'make generate  the protobuf code, from the .proto files'
	@echo 'make deps      the Debian packages that tests use (installed when root, else named)'
	@echo
	@echo 'SITEPROBE_SHARED=DIR    recordings that some tests use (now: "$(SITEPROBE_SHARED)")'
	@echo 'SITEPROBE_REQUIRE=1     a test that would skip because something is missing fails instead; CI sets it'
	@echo 'SITEPROBE_TORTURE=1     what make torture sets'

run:
	go run ./cmd/demo

# A missing package makes a test skip, so deps may fail here.
test:
	-@.ci/deps
	go test $(RACE) -timeout $(TIMEOUT) ./...

check:
	@unformatted=$$(gofmt -l .); \
	  if [ -n "$$unformatted" ]; then echo "gofmt -w these files:"; echo "$$unformatted"; exit 1; fi
	go vet ./...
	go tool staticcheck ./...
	go mod tidy -diff
	go test -count=1 ./packaging/conventions
	@timeout $(VULN_SECONDS) go tool govulncheck ./... || echo 'govulncheck found something or could not finish (see above); this does not fail the run'

build: $(BINARIES)

# go build knows better than make what is up to date.
.PHONY: $(BINARIES)
$(BINARIES): bin/%:
	go build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/$*

# The parts by themselves, then the whole way beside the bare SNMP library.
bench:
	go test -run '^$$' -bench 'Ingest|Drain|Compact|code' -benchmem ./buffer ./buffer/block ./uplink
	go test -run '^$$' -bench . -benchmem ./collectors/... ./uplink/wire/...
	go run ./cmd/bench

torture:
	SITEPROBE_TORTURE=1 go test -timeout 6h -p 1 ./...
	@for x in FuzzParse:buffer/block FuzzFile:buffer/store/sqlitefile FuzzSalvage:buffer/store FuzzOpen:buffer \
	  FuzzReadMessage:collectors/snmp/pdu FuzzResponse:collectors/snmp FuzzCollect:collectors/snmp \
	  FuzzProfile:collectors/snmp/profile FuzzExporter:collectors/snmp/profile/exporter \
	  FuzzReadEngine:collectors/snmp/pdu FuzzTrap:collectors/trap FuzzSyslog:collectors/syslog \
	  FuzzExposition:collectors/check FuzzLDAPAnswer:collectors/check \
	  FuzzStore:collectors/topology FuzzRegistry:collectors/discovery FuzzCard:collectors/runbook FuzzState:collectors/notify; do \
	  echo "fuzzing $${x%%:*} for $(FUZZTIME)"; \
	  go test -run '^$$' -fuzz "^$${x%%:*}\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 20x -timeout 6h ./$${x#*:} || exit 1; \
	done

generate:
	go build -o bin/protoc-gen-go google.golang.org/protobuf/cmd/protoc-gen-go
	protoc --plugin=protoc-gen-go=bin/protoc-gen-go -I . --go_out=. --go_opt=paths=source_relative $(PROTOS)

deps:
	@.ci/deps
