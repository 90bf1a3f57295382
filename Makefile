.PHONY: stress quick bench peers museum planted checks found newer durability explore-bench alarms mutants bench-gate nats fleet picture test race lint

stress: ## all nine scenarios, at N = 100,000
	go test -count=1 -run Stress ./...

quick: ## the same at 10,000
	go test -short -count=1 -run Stress ./...

bench:
	go test -run '^$$' -bench . -benchmem ./...

peers: ## our implementations against the alternatives, into docs/PEERS.md; downloads the alternatives
	mkdir -p docs
	go -C stress/peers run . -page ../../docs/PEERS.md -samples ../../docs/peers.txt

museum: ## real bugs of public libraries; downloads the libraries
	go -C stress/museum test -count=1 -v -run Museum .

planted: ## every planted bug, including those in processes and with time limits; needs an idle machine
	TENSILE_EVERY_PLANT=1 go test -count=1 -timeout 60m -run 'Planted|Sneaky|Slow|Shared|Sound|Alone|OverTCP|Explored' ./stress ./stress/*test

checks: ## lists all phases, criteria and planted bugs, and runs only those that need a second or two
	@TENSILE_EVERY_PLANT=1 go test -short -count=1 -v \
		-run 'Planted|Sneaky|Slow|Shared|OverTCP|PhasesAlone|ExploredFaults|Faulty(Log|Store|File)s' \
		./stress ./stress/*test | sed -n -e 's/^ *--- [A-Z]*: \(.*\(Slow\|\/\).*\) (.*/\1/p' -e 's/^.*\(criterion .*\)/\1/p' | sort

found: ## third-party libraries under explore; downloads the libraries
	go -C stress/museum/found test -count=1 .

newer: ## explore with a later Go tree, because it edits the tree that runs it; from the module proxy
	GOTOOLCHAIN=go1.27.4 go test -short -count=1 ./stress/explore/...

durability: ## embedded stores and logs, and JetStream, under power cuts; downloads them
	go -C stress/durability test -count=1 -v -timeout 60m .

explore-bench: ## how soon explore finds known bugs, and whether it passes sound twins; downloads those of the museum
	go run ./stress/explorebench

mutants: ## faults made in our own packages, and which of them the kits miss; takes hours
	go run ./stress/mutants ./pool -test ./stress -run 'TestStressPool$$'
	go run ./stress/mutants ./registry -test ./stress -run 'TestStressRouter$$'
	go run ./stress/mutants ./queue/... -test ./stress -run 'TestStressQueue$$'
	go run ./stress/mutants ./cluster/balance -test ./stress -run 'TestStressBalancer$$'
	go run ./stress/mutants ./chaos -test ./stress -run 'TestStressChaos$$'

BASE ?= HEAD~1
bench-gate: ## benchmarks of the working tree beside those of commit BASE, by turns; fails where some are slower
	go -C stress/benchstat run ./gate -base $(BASE)

nats: ## the kits over NATS, at a fifth of N, in five minutes; downloads its server
	STRESS_ENGINE=nats STRESS_PATIENCE=30s STRESS_SCALE=20000 go -C stress/nats test -count=1 -v -timeout 60m -run Stress .

fleet: ## a load from several processes; downloads NATS
	go -C stress/fleet test -count=1 .

picture: ## a picture of the last report, into docs/report.png; needs chromium
	profile=$$(mktemp -d); chromium --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --hide-scrollbars \
		--disable-background-networking --disable-component-update --disable-sync --user-data-dir=$$profile \
		--window-size=1280,1700 --screenshot=docs/report.png file://$(CURDIR)/out/report.html; \
		status=$$?; rm -rf $$profile; exit $$status

test:
	go test ./...

race: ## at the scale that the race detector allows
	go test -race -short ./...

lint:
	test -z "$$(gofmt -l .)"
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.7.0 ./...
