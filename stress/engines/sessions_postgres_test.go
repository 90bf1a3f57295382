package engines

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"tensile/stress/sessiontest"
)

// TestPostgresSessions has all tables of a run in a schema of its own, which goes
// with the test: no node knows whether it is the last.
func TestPostgresSessions(t *testing.T) {
	at, err := url.Parse(postgres(t))
	require.NoError(t, err)
	ctx := context.Background()
	c, err := pgx.Connect(ctx, at.String())
	require.NoError(t, err)
	schema := "tensile_" + strings.ToLower(rand.Text())
	_, err = c.Exec(ctx, "create schema "+schema)
	require.NoError(t, err)
	defer func() {
		_, err := c.Exec(ctx, "drop schema "+schema+" cascade")
		require.NoError(t, err)
		require.NoError(t, c.Close(ctx))
	}()
	within := at.Query()
	within.Set("search_path", schema)
	at.RawQuery = within.Encode()
	sound(t, "PostgreSQL sessions", at.String(), nil)
}

// pgSessions is a client of the server, with the table of its cluster.
type pgSessions struct {
	pool             *pgxpool.Pool
	put, get, delete string
}

var (
	errNoSession = errors.New("no such session")
	errNotSent   = errors.New("nothing was sent")
)

// sessionConns is how many connections a node has. The kit has eight clusters of
// four nodes at a time, and a server as it was installed allows 100 connections.
const sessionConns = 2

func openPgSessions(tb testing.TB, cfg sessiontest.Config) sessiontest.Store {
	c, err := pgxpool.ParseConfig(server)
	if err != nil {
		tb.Fatal(err)
	}
	c.MaxConns = sessionConns
	pool, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		tb.Fatal(err)
	}
	table := fmt.Sprintf("sessions_%.8x", sha256.Sum256(cfg.Secret))
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := createTable(ctx, pool, table); err != nil {
		pool.Close()
		tb.Fatal(err)
	}
	return &pgSessions{
		pool: pool,
		put: "insert into " + table + " values ($1, $2, clock_timestamp() + $3::interval)" +
			" on conflict (key) do update set value = excluded.value, expires = excluded.expires",
		get:    "select value from " + table + " where key = $1 and (expires is null or expires > clock_timestamp())",
		delete: "delete from " + table + " where key = $1",
	}
}

// createTable creates the table unless it is there. All nodes do so at once: they
// take turns, since "if not exists" alone may find none and then fail because
// there is one.
func createTable(ctx context.Context, pool *pgxpool.Pool, table string) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtext($1))", table); err != nil {
			return err
		}
		_, err := tx.Exec(ctx,
			"create table if not exists "+table+" (key bytea primary key, value bytea not null, expires timestamptz)")
		return err
	})
}

// Shared says that links between nodes mean nothing.
func (*pgSessions) Shared() {}

func (s *pgSessions) Put(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if value == nil {
		value = []byte{} // nil would be null
	}
	var lives *time.Duration // null for ever, and so is the sum with it
	if ttl > 0 {
		lives = &ttl
	}
	return s.exec(ctx, s.put, []byte(key), value, lives)
}

func (s *pgSessions) Get(ctx context.Context, key string) (value []byte, err error) {
	err = s.pool.QueryRow(ctx, s.get, []byte(key)).Scan(&value)
	if errors.Is(err, pgx.ErrNoRows) {
		err = errNoSession
	}
	return value, err
}

func (s *pgSessions) Delete(ctx context.Context, key string) error {
	return s.exec(ctx, s.delete, []byte(key))
}

// exec executes one statement, and tells apart what has not been sent: without a
// connection, or where pgx knows.
func (s *pgSessions) exec(ctx context.Context, statement string, arguments ...any) error {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", errNotSent, err)
	}
	defer c.Release()
	_, err = c.Exec(ctx, statement, arguments...)
	if err != nil && pgconn.SafeToRetry(err) {
		err = fmt.Errorf("%w: %w", errNotSent, err)
	}
	return err
}

func (s *pgSessions) Close() error { s.pool.Close(); return nil }

func (*pgSessions) Errors() sessiontest.Errors {
	return sessiontest.Errors{NotFound: errNoSession, Refused: errNotSent}
}
