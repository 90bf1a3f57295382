package validate

import "slices"

// The nine scenarios, and WholeRun for what holds over all of them.
const (
	Formation = "formation"
	Pooling   = "pooling"
	Routing   = "routing"
	Queueing  = "queueing"
	Memory    = "memory"
	Balancing = "balancing"
	Sessions  = "sessions"
	Messaging = "messaging"
	Chaos     = "chaos"
	WholeRun  = "run"
)

// Scenarios are the nine in the order of the specification, with their titles.
var Scenarios = []struct{ ID, Title string }{
	{Formation, "Cluster formation"},
	{Pooling, "Connection pooling"},
	{Routing, "Registry routing"},
	{Queueing, "Queue handling"},
	{Memory, "Memory stability"},
	{Balancing, "Load balancer distribution"},
	{Sessions, "Session state persistence"},
	{Messaging, "Inter-node communication"},
	{Chaos, "Chaos"},
}

func must(scenario, id, name string, c Comparison, target float64, unit string, s ...Scaling) Criterion {
	return criterion(Must, scenario, id, name, c, target, unit, s)
}

func reach(scenario, id, name string, c Comparison, target float64, unit string, s ...Scaling) Criterion {
	return criterion(Reach, scenario, id, name, c, target, unit, s)
}

func criterion(k Kind, scenario, id, name string, c Comparison, target float64, unit string, s []Scaling) Criterion {
	all := Criterion{
		ID: scenario + "." + id, Scenario: scenario, Name: name, Comparison: c, Target: target, Unit: unit, Kind: k,
	}
	if len(s) > 0 {
		all.Scaling = s[0]
	}
	return all
}

// shown is a criterion for something that must be seen to hold: the figure is
// how often it did not.
func shown(scenario, id, name string) Criterion {
	return must(scenario, id, name, Equal, 0, "violations")
}

// slowness is the criterion by which a subject fails on any machine.
func slowness(scenario string) Criterion {
	return must(scenario, Slowness, "times slower than the control at the same moment", AtMost, 5, "times", WithControl)
}

// inFlight is the criterion that so many were in flight at once.
func inFlight(scenario, name, unit string) Criterion {
	return must(scenario, "in_flight", name, AtLeast, BaseScale, unit, WithN).judges(InFlight)
}

// rate is the throughput that a scenario must have.
func rate(scenario, name string, least float64, unit string, s Scaling) Criterion {
	return must(scenario, "throughput", name, AtLeast, least, unit, s).judges(Throughput).counts("throughput")
}

// latency is the criterion for a percentile of the steady run.
func latency(scenario, id string, m Metric, below float64, s Scaling) Criterion {
	return must(scenario, id, "steady latency "+id, Below, below, "ms", s).judges(m).counts(id)
}

// survival is the criterion for connections, which survive where there are no
// faults.
func survival(scenario string) Criterion {
	return must(scenario, "survival", "connections that survived, no faults", Equal, 100, "%").counts("connections")
}

// lost is the criterion that nothing is.
func lost(scenario, name, unit string) Criterion {
	return must(scenario, "lost", name, Equal, 0, unit).counts("loss")
}

// leaks is the criterion that nothing is left behind.
func leaks(scenario, name string) Criterion {
	return must(scenario, "leaks", name, Equal, 0, "leaks").counts("leaks")
}

// memoryPeak is the budget of a subject: 500 MB at N = 100,000, of which 200 are for
// what does not get less with N: buffers, and what a load of millions of operations
// leaves on the way. What the kit itself holds does not count.
func memoryPeak(scenario, id, name string) Criterion {
	c := must(scenario, id, name, AtMost, 500, "MB", WithN)
	c.Floor = 200
	return c
}

// PeakMemory is the criterion for what a subject holds at most in this process.
const PeakMemory = "memory"

func peakMemory(scenario string) Criterion {
	return memoryPeak(scenario, PeakMemory, "peak memory of the subject").counts(PeakMemory)
}

// judges is the criterion for a figure that the report has.
func (c Criterion) judges(m Metric) Criterion {
	c.Metric = m
	return c
}

// counts is the criterion as a part of one of the whole run.
func (c Criterion) counts(part string) Criterion {
	c.Part = part
	return c
}

// Criteria are all thresholds of the specification, for N = 100,000.
var Criteria = slices.Concat(
	formation, pooling, routing, queueing, memory, balancing, sessions, messaging, chaos, wholeRun,
)

// Of returns the criteria of one scenario, or of WholeRun.
func Of(scenario string) []Criterion {
	return slices.DeleteFunc(slices.Clone(Criteria), func(c Criterion) bool { return c.Scenario != scenario })
}

// Known returns the criterion of an ID, or one without an ID if there is none: what
// is read from a file has no Metric and no Part.
func Known(id string) Criterion {
	if i := slices.IndexFunc(Criteria, func(c Criterion) bool { return c.ID == id }); i >= 0 {
		return Criteria[i]
	}
	return Criterion{}
}

var formation = []Criterion{
	shown(Formation, "views", "nodes that do not list every other as alive"),
	shown(Formation, "pairs", "directed pairs that do not answer a ping"),
	shown(Formation, "hung", "stopped nodes not declared dead, or not taken back when continued"),
	shown(Formation, "leave", "nodes that left and are listed as failed"),
	shown(Formation, "rejoin", "restarted nodes that do not rejoin under their name"),
	shown(Formation, "seeds", "nodes that did not get in though one of their seeds lived"),
	shown(Formation, "secret", "nodes with a wrong secret that got in or learnt anything"),
	shown(Formation, "conflict", "taken ports and duplicate names without a clear error"),
	shown(Formation, "explored", "programs of events that broke a promise"),
	must(Formation, "formed", "median time until formed", Below, 2000, "ms", WithControl),
	must(Formation, "death", "median time until a killed node is known dead to all", Below, 100, "ms", WithControl),
	slowness(Formation),
	must(Formation, "kills", "nodes killed", AtLeast, 5, "kills"),
	must(Formation, "false_deaths", "healthy nodes declared dead", Equal, 0, "nodes"),
	leaks(Formation, "goroutines, descriptors and processes left behind"),
	reach(Formation, "formed_reach", "time until formed", Below, 250, "ms"),
	reach(Formation, "death_reach", "median time until a killed node is known dead to all", Below, 10, "ms"),
	reach(Formation, "death_worst", "longest time until a killed node was known dead to all", Below, 100, "ms"),
	reach(Formation, "hung_reach", "longest time until a hung node was known dead to all", Below, 500, "ms"),
}

var pooling = []Criterion{
	inFlight(Pooling, "peak operations in flight, counted", "operations"),
	rate(Pooling, "throughput of the burst", 50_000, "ops/s", WithControl),
	latency(Pooling, "p50", P50, 50, WithControl),
	latency(Pooling, "p95", P95, 75, WithControl),
	latency(Pooling, "p99", P99, 100, WithControl),
	slowness(Pooling),
	shown(Pooling, "bound", "connections open beyond the size of a pool"),
	shown(Pooling, "exclusive", "connections lent to two holders at once"),
	shown(Pooling, "crosstalk", "replies that belong to another request"),
	shown(Pooling, "order", "waiters served before an earlier one"),
	shown(Pooling, "served", "waiters never served"),
	shown(Pooling, "deadline", "deadlines while waiting that gave no error, or leaked"),
	shown(Pooling, "broken", "broken connections lent again, or not replaced"),
	shown(Pooling, "overflow", "waiters beyond the bound without the overflow error"),
	shown(Pooling, "idle", "idle-time limits not kept"),
	shown(Pooling, "lifetime", "lifetime limits not kept"),
	shown(Pooling, "health", "unhealthy connections lent in spite of a health check"),
	shown(Pooling, "kept", "kinds of finished work that stay in memory"),
	shown(Pooling, "close", "ways in which Close did not wait, refuse and close everything"),
	peakMemory(Pooling),
	shown(Pooling, "explored", "explorations in which a program of the vocabulary broke a promise"),
	survival(Pooling),
	leaks(Pooling, "connections, goroutines, descriptors and processes left behind"),
	reach(Pooling, "throughput_reach", "throughput of the burst", AtLeast, 100_000, "ops/s").judges(Throughput),
}

var routing = []Criterion{
	inFlight(Routing, "peak messages in flight, counted", "messages"),
	rate(Routing, "throughput", 90_000, "msgs/s", WithControl),
	must(Routing, "mean", "steady latency, mean", Below, 3, "ms", WithControl).judges(Mean),
	latency(Routing, "p50", P50, 50, WithControl),
	latency(Routing, "p95", P95, 75, WithControl),
	latency(Routing, "p99", P99, 100, WithControl),
	slowness(Routing),
	must(Routing, "delivery", "messages delivered", Equal, 100, "%"),
	lost(Routing, "messages lost", "messages"),
	must(Routing, "duplicated", "messages duplicated", Equal, 0, "messages"),
	must(Routing, "reordered", "messages reordered", Equal, 0, "messages"),
	must(Routing, "corrupted", "messages corrupted", Equal, 0, "messages"),
	must(Routing, "misrouted", "messages misrouted", Equal, 0, "messages"),
	must(Routing, "phantom", "messages that were never sent, or were refused, and arrived", Equal, 0, "messages"),
	shown(Routing, "errors", "errors missing or not distinct: unknown, taken, full, closed"),
	shown(Routing, "unregister", "messages in flight at unregister neither delivered nor refused"),
	shown(Routing, "full", "names that were full too early, or together with others, or lost a message when full"),
	shown(Routing, "order", "handlers called with two messages at once"),
	shown(Routing, "handlers", "handlers that could not send, register or unregister"),
	shown(Routing, "fair", "names kept from their messages by another with very many, or whose handler waits"),
	shown(Routing, "panic", "other names harmed by a panicking handler"),
	shown(Routing, "close", "ways in which Close did not deliver accepted messages, or did not return"),
	shown(Routing, "kept", "kinds of finished work that stay in memory"),
	shown(Routing, "churn", "names not unregistered that refused or lost a message during churn"),
	peakMemory(Routing),
	shown(Routing, "explored", "explorations in which a program of the vocabulary broke a promise"),
	leaks(Routing, "goroutines, descriptors and processes left behind"),
	reach(Routing, "throughput_reach", "throughput", AtLeast, 2_000_000, "msgs/s").judges(Throughput),
	reach(Routing, "idle_bytes", "memory of an idle name", AtMost, 160, "bytes"),
	reach(Routing, "idle_goroutines", "goroutines of an idle name", AtMost, 0, "goroutines"),
}

var queueing = []Criterion{
	inFlight(Queueing, "peak messages delivered and not acknowledged", "messages"),
	rate(Queueing, "throughput in memory", 95_000, "msgs/s", WithControl),
	latency(Queueing, "p50", P50, 50, WithControl),
	latency(Queueing, "p95", P95, 75, WithControl),
	latency(Queueing, "p99", P99, 100, WithControl),
	slowness(Queueing),
	lost(Queueing, "messages lost in memory", "messages"),
	must(Queueing, "duplicated", "messages that came back after their acknowledgement", Equal, 0, "messages"),
	must(Queueing, "reordered", "messages out of order in their queue", Equal, 0, "messages"),
	must(Queueing, "corrupted", "messages corrupted", Equal, 0, "messages"),
	must(Queueing, "misrouted", "messages that came out of another queue", Equal, 0, "messages"),
	must(Queueing, "phantom", "phantom messages", Equal, 0, "messages"),
	shown(Queueing, "redelivery", "messages not acknowledged, or refused, and not delivered again with their attempt"),
	shown(Queueing, "dead_letter", "messages beyond the attempts that missed the dead-letter queue"),
	shown(Queueing, "bounded", "full queues that neither blocked nor refused as configured"),
	shown(Queueing, "exclusive", "messages held by two consumers at once"),
	shown(Queueing, "deadline", "consumers that gave up and did not return, or took a message with them"),
	shown(Queueing, "close", "callers that Close did not turn away"),
	peakMemory(Queueing),
	shown(Queueing, "explored", "explorations in which a program of the vocabulary broke a promise"),
	shown(Queueing, "kept", "kinds of finished work that stay in memory"),
	must(Queueing, "kills", "times the durable queue was killed", AtLeast, 20, "kills", UpToBase),
	must(Queueing, "durable_lost", "confirmed messages lost over all kills", Equal, 0, "messages").counts("loss"),
	shown(Queueing, "durable_redelivered", "confirmed acknowledgements that came back as new"),
	shown(Queueing, "durable_reordered", "messages out of order after a restart"),
	shown(Queueing, "durable_phantom", "messages that came after a restart and were never sent"),
	must(Queueing, "option_kills", "times it was killed with every option on", AtLeast, 20, "kills", UpToBase),
	shown(Queueing, "durable_dead_letter",
		"messages delivered too often, or back from the dead-letter queue, over all kills"),
	shown(Queueing, "durable_bounded", "bounds exceeded over all kills"),
	shown(Queueing, "torn", "torn last records not dropped, or damage elsewhere not reported"),
	shown(Queueing, "disk", "publishes confirmed that could not be written"),
	shown(Queueing, "power_cut", "ways to lose, double or invent a message by a power cut"),
	shown(Queueing, "lock", "logs that two processes had open at once"),
	leaks(Queueing, "goroutines, descriptors and processes left behind"),
	reach(Queueing, "throughput_reach", "throughput in memory", AtLeast, 1_000_000, "msgs/s").judges(Throughput),
	reach(Queueing, "durable_throughput", "messages confirmed by the disk, 1,000 publishers", AtLeast, 95_000, "msgs/s"),
}

var memory = []Criterion{
	must(Memory, "connections", "in-memory connections held at once, counted", AtLeast, BaseScale, "connections", WithN),
	must(Memory, "idle_connections", "in-memory connections without a goroutine held at once, counted",
		AtLeast, BaseScale, "connections", WithN),
	must(Memory, "tcp_connections", "TCP connections between processes held at once, counted",
		AtLeast, BaseScale, "connections", WithN),
	survival(Memory),
	lost(Memory, "replies lost", "messages"),
	must(Memory, "duplicated", "replies duplicated", Equal, 0, "messages"),
	must(Memory, "misrouted", "replies to another connection", Equal, 0, "messages"),
	must(Memory, "corrupted", "replies corrupted", Equal, 0, "messages"),
	must(Memory, "stale", "replies from a state that was lost, mixed up or used twice", Equal, 0, "messages"),
	shown(Memory, "fragments", "requests in pieces, or several in one, not answered"),
	shown(Memory, "idle", "servers that hold goroutines for idle connections, although asked not to"),
	must(Memory, "per_connection", "heap and stack of a connection, largest of all kinds",
		AtMost, 5*1024, "bytes").counts("per_connection"),
	memoryPeak(Memory, "peak", "peak memory of a server in its process, in memory").counts(PeakMemory),
	memoryPeak(Memory, "tcp_peak", "peak memory of a server in its process, over TCP").counts(PeakMemory),
	must(Memory, "slope", "slope of memory beyond its noise", AtMost, 0, "bytes/s"),
	shown(Memory, "growth", "goroutines or descriptors that grew while connections were held"),
	shown(Memory, "close", "ways in which resources of a connection were not released"),
	shown(Memory, "explored", "explorations in which a program of the vocabulary broke a promise"),
	must(Memory, "heap_returned", "heap above the baseline after close", AtMost, 5, "%"),
	leaks(Memory, "goroutines, descriptors and processes left behind"),
	reach(Memory, "goroutine_reach", "memory of a connection with a goroutine", Below, 3.1*1024, "bytes"),
	reach(Memory, "idle_reach", "memory of an idle connection without one", Below, 1024, "bytes"),
}

var balancing = []Criterion{
	inFlight(Balancing, "peak connections held at once in memory, counted", "connections"),
	rate(Balancing, "picks of the slowest strategy", 50_000, "ops/s", WithControl),
	slowness(Balancing),
	must(Balancing, "spread", "largest deviation of a node, any strategy",
		AtMost, 2000, "connections", WithN).counts("balance"),
	must(Balancing, "default_spread", "largest deviation of a node, default strategy", AtMost, 0.6, "%"),
	must(Balancing, "join_spread", "largest deviation after a join, default strategy", AtMost, 0.6, "%"),
	must(Balancing, "failure_spread", "largest deviation after a failure, default strategy", AtMost, 0.6, "%"),
	must(Balancing, "connections", "real connections opened over node processes", AtLeast, BaseScale, "connections",
		WithN),
	must(Balancing, "connections_spread", "largest deviation of a node process, counted there, default strategy",
		AtMost, 0.6, "%"),
	survival(Balancing),
	must(Balancing, "allocations", "allocations of a pick, any strategy", Equal, 0, "allocations"),
	shown(Balancing, "uneven", "nodes that did not get their share"),
	shown(Balancing, "moved", "ways in which a hash strategy moved connections without need"),
	shown(Balancing, "placement", "ways in which another instance or process places keys elsewhere"),
	shown(Balancing, "dead", "connections given to a node known dead"),
	shown(Balancing, "weights", "weights not honoured"),
	shown(Balancing, "skew", "nodes above the bound under skewed keys"),
	shown(Balancing, "empty", "empty node sets without an error"),
	peakMemory(Balancing),
	shown(Balancing, "explored", "explorations in which a program of the vocabulary broke a promise"),
	leaks(Balancing, "goroutines, descriptors and processes left behind"),
	reach(Balancing, "pick_reach", "time of a pick, default strategy", AtMost, 20, "ns"),
	reach(Balancing, "keyed_reach", "largest deviation of a hash strategy at ten times N", AtMost, 1, "%"),
}

var sessions = []Criterion{
	rate(Sessions, "throughput", 50_000, "ops/s", WithControl),
	latency(Sessions, "p50", P50, 50, WithControl),
	latency(Sessions, "p95", P95, 75, WithControl),
	latency(Sessions, "p99", P99, 100, WithControl),
	slowness(Sessions),
	must(Sessions, "survival", "acknowledged sessions that survived", AtLeast, 99.5, "%").counts("sessions"),
	must(Sessions, "recovery", "median time to recover", Below, 2000, "ms", WithControl).counts("recovery"),
	must(Sessions, "restored", "median time until full replication after a loss or a return, for each 100,000 sessions",
		Below, 10_000, "ms", WithControl),
	must(Sessions, "histories", "histories checked", AtLeast, 1, "histories"),
	shown(Sessions, "linearizable", "sessions whose history is not linearizable"),
	shown(Sessions, "latest", "acknowledged writes not readable with their latest value"),
	shown(Sessions, "phantom", "values read that nobody wrote"),
	shown(Sessions, "deleted", "deleted sessions that were there, or came back"),
	shown(Sessions, "stale", "stale values served after a restart"),
	shown(Sessions, "replication", "sessions not restored to full replication"),
	shown(Sessions, "expiry", "sessions that outlived or missed their time to live"),
	shown(Sessions, "minority", "writes accepted, or overwritten values served, by the minority of a partition"),
	leaks(Sessions, "goroutines, descriptors and processes left behind"),
	reach(Sessions, "throughput_reach", "throughput", AtLeast, 100_000, "ops/s").judges(Throughput),
	reach(Sessions, "survival_reach", "acknowledged writes that survived one node killed", AtLeast, 100, "%"),
	reach(Sessions, "recovery_reach", "time to recover", Below, 500, "ms"),
	reach(Sessions, "histories_reach", "histories checked, with STRESS_HISTORIES=50", AtLeast, 50, "histories"),
}

var messaging = []Criterion{
	inFlight(Messaging, "peak requests in flight, counted", "requests"),
	rate(Messaging, "throughput", 85_000, "msgs/s", WithControl),
	latency(Messaging, "p50", P50, 50, WithControl),
	latency(Messaging, "p95", P95, 75, WithControl),
	latency(Messaging, "p99", P99, 100, WithControl),
	slowness(Messaging),
	must(Messaging, "answered", "calls answered or reported", Equal, 100, "%"),
	lost(Messaging, "messages lost", "messages"),
	must(Messaging, "duplicated", "messages duplicated", Equal, 0, "messages"),
	must(Messaging, "misrouted", "messages that reached another node", Equal, 0, "messages"),
	must(Messaging, "corrupted", "messages that arrived with other contents", Equal, 0, "messages"),
	must(Messaging, "phantom", "messages that arrived and were never sent", Equal, 0, "messages"),
	shown(Messaging, "sizes", "sizes of messages that were not carried"),
	shown(Messaging, "isolation", "peers slowed by another that is slow or stopped"),
	shown(Messaging, "deadline", "calls to a stopped peer without an error within their deadline"),
	shown(Messaging, "back_pressure", "buffers that grew beyond their bound"),
	shown(Messaging, "dead_peer", "calls to a dead peer without an error at once"),
	shown(Messaging, "secret", "unauthenticated peers that were served"),
	shown(Messaging, "garbled", "garbled frames accepted, or that harmed another connection"),
	shown(Messaging, "once", "calls that ended twice or with another's reply, or were handled twice"),
	shown(Messaging, "one_way", "one-way messages that Send took, and that were lost, or arrived twice"),
	shown(Messaging, "kept", "nodes that take more after each of equal rounds"),
	shown(Messaging, "strangers", "nodes that took too much for peers that had proved nothing"),
	shown(Messaging, "explored", "explorations in which a program of the vocabulary broke a promise"),
	leaks(Messaging, "goroutines, descriptors and processes left behind"),
	reach(Messaging, "throughput_reach", "throughput", AtLeast, 500_000, "msgs/s").judges(Throughput),
	reach(Messaging, "isolation_ratio", "p99 of calls to others while a peer is stopped, relative to the usual",
		AtMost, 2, "times"),
	reach(Messaging, "throughput_aim", "throughput", AtLeast, 1_000_000, "msgs/s"),
}

var chaos = []Criterion{
	must(Chaos, "serving", "workers that serve after a tenth of 1,000 was killed at once", Equal, 1000, "workers"),
	must(Chaos, "recovery", "median time until all workers serve again", Below, 2000, "ms", WithControl).
		counts("recovery"),
	must(Chaos, "cascades", "cascading failures: harm to what was not hit", Equal, 0, "failures").counts("cascades"),
	lost(Chaos, "operations lost by workers not hit", "operations"),
	// The report has their latencies as those of the steady run.
	must(Chaos, "p99", "p99 of workers not hit, relative to their steady p99 or 5 ms if that is more",
		AtMost, 2, "times", WithControl).judges(P99),
	slowness(Chaos),
	shown(Chaos, "answers", "operations answered wrongly, or never"),
	shown(Chaos, "hypothesis", "times the steady state did not hold before or after"),
	shown(Chaos, "intensity", "crash loops that the restart intensity did not stop, or not contain"),
	shown(Chaos, "hung", "workers that hang and were not replaced"),
	shown(Chaos, "blast_radius", "times the blast radius was exceeded"),
	shown(Chaos, "plan", "plans that differ for the same seed, or are not what was asked for"),
	shown(Chaos, "dry_run", "faults that a dry run does not show"),
	shown(Chaos, "undone", "faults left behind, however a run ends"),
	shown(Chaos, "gate", "faults injected, or runs passed, without a steady state"),
	peakMemory(Chaos),
	shown(Chaos, "explored", "explorations in which a plan, or a program for workers, broke a promise"),
	shown(Chaos, "links", "link faults that did not have their effect on the link"),
	shown(Chaos, "nodes", "faults in the cluster after which its steady state did not return"),
	must(Chaos, "nodes_recovery", "longest time from a fault in the cluster to its steady state",
		Below, 2000, "ms", WithShare).counts("recovery"),
	shown(Chaos, "nodes_faults", "faults in the cluster that did nothing"),
	shown(Chaos, "nodes_answers", "calls between nodes that got the reply to another"),
	leaks(Chaos, "goroutines, descriptors and processes left behind"),
	reach(Chaos, "recovery_reach", "time until all workers serve again", Below, 103, "ms"),
}

var wholeRun = []Criterion{
	must(WholeRun, "throughput", "lowest throughput of a scenario", AtLeast, 50_000, "ops/s", WithControl),
	must(WholeRun, "p50", "highest steady latency p50 of a scenario", Below, 50, "ms", WithControl),
	must(WholeRun, "p95", "highest steady latency p95 of a scenario", Below, 75, "ms", WithControl),
	must(WholeRun, "p99", "highest steady latency p99 of a scenario", Below, 100, "ms", WithControl),
	memoryPeak(WholeRun, PeakMemory, "highest peak memory of a subject"),
	must(WholeRun, "per_connection", "memory of a connection", AtMost, 5*1024, "bytes"),
	must(WholeRun, "recovery", "longest recovery", Below, 2000, "ms", WithShare),
	must(WholeRun, "sessions", "acknowledged sessions that survived", AtLeast, 99.5, "%"),
	must(WholeRun, "connections", "connections that survived, no faults", Equal, 100, "%"),
	must(WholeRun, "balance", "largest deviation of a node from its share", AtMost, 2000, "connections", WithN),
	must(WholeRun, "loss", "messages lost", Equal, 0, "messages"),
	must(WholeRun, "cascades", "cascading failures", Equal, 0, "failures"),
	must(WholeRun, "leaks", "goroutines, connections, files and processes left behind", Equal, 0, "leaks"),
}
