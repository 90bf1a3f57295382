// Package engines runs clients of real servers through the kits: the pools pgxpool
// and database/sql over PostgreSQL, go-redis over a server that speaks its protocol,
// and sessions in a PostgreSQL table. It contains only tests:
//
//	go test ./...
//
// The tests start PostgreSQL in a temporary folder if it is installed, or use yours:
// STRESS_POSTGRES_URL=postgres://user:secret@127.0.0.1:5432/database.
package engines
