// Package engines takes clients of real servers through the kits: the pools pgxpool
// and database/sql over PostgreSQL, and go-redis over a server that speaks its
// protocol; and sessions in a table of PostgreSQL. It has tests only:
//
//	go test ./...
//
// PostgreSQL is started in a temporary folder where it is installed, or is yours:
// STRESS_POSTGRES_URL=postgres://user:secret@127.0.0.1:5432/database.
package engines
