// Package nats runs an existing distributed engine through the kits: a registry router
// over request and reply, queues over JetStream, sessions over a JetStream bucket with
// three replicas, and a cluster of nats-server processes with calls between them. It
// contains only tests:
//
//	STRESS_ENGINE=nats go test -run Stress .
//
// The servers are part of this module and run as child processes. With
// STRESS_NATS_URL=nats://user:secret@host:4222, the router and the in-memory queues use your
// server; a phase that kills servers starts its own.
//
// Without STRESS_ENGINE, only tests that take seconds run. They check small loads, and the
// findings of docs/nats.md.
package nats
