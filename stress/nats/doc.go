// Package nats takes an existing distributed engine through the kits: a registry
// router over request and reply, queues over JetStream, sessions over a JetStream
// bucket with three replicas, and a cluster of nats-server processes with calls
// between them. It has tests only:
//
//	STRESS_ENGINE=nats go test -run Stress .
//
// The servers are this module's, started as processes. The router and the queues
// in memory use yours where STRESS_NATS_URL=nats://user:secret@host:4222 names it;
// whatever kills servers starts its own.
//
// Without STRESS_ENGINE only what takes seconds is run: it must hold, or be found
// wanting, as docs/nats.md says.
package nats
