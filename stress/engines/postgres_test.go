package engines

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/require"

	"tensile/stress/internal/settings"
	"tensile/stress/pooltest"
)

func TestPgxpool(t *testing.T) { sound(t, "pgxpool", postgres(t), nil) }

func TestDatabaseSQL(t *testing.T) {
	sound(t, "database/sql", postgres(t), map[string]string{
		"pooling.bound": "pgx closes in the background what has broken, which database/sql takes " +
			"for closed and opens another",
	})
}

// postgres returns the address of a server: the user's, or one that lives as long
// as the test.
func postgres(t *testing.T) string {
	var yours string
	require.NoError(t, settings.Read(&yours, os.Environ(), variables))
	if yours != "" {
		return yours
	}
	bin := postgresBin()
	if bin == "" {
		t.Skip("PostgreSQL is not installed, and STRESS_POSTGRES_URL names no server")
	}
	// Its sockets need a short path, which the folder of a test may not have.
	dir, err := os.MkdirTemp("", "pg")
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	as := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 { // as which it refuses to run
		as.Credential = unprivileged(t)
		require.NoError(t, os.Chown(dir, int(as.Credential.Uid), int(as.Credential.Gid)))
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "tensile", "-A", "trust", "--no-sync")
	initdb.Dir, initdb.SysProcAttr = dir, as
	said, err := initdb.CombinedOutput()
	require.NoError(t, err, "%s", said)

	port := freePort(t)
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	defer func() { _ = log.Close() }()
	child := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-h", "127.0.0.1", "-p",
		strconv.Itoa(port),
		"-c", "max_connections=200", "-c", "fsync=off", "-c", "shared_buffers=16MB")
	child.Dir, child.SysProcAttr, child.Stdout, child.Stderr = dir, as, log, log
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		_ = child.Process.Signal(syscall.SIGINT) // which it calls a fast shutdown
		_ = child.Wait()
	})
	url := fmt.Sprintf("postgres://tensile@127.0.0.1:%d/postgres?sslmode=disable", port)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		c, err := pgx.Connect(ctx, url)
		if err == nil {
			require.NoError(t, c.Close(ctx))
			return url
		}
		select {
		case <-ctx.Done():
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("PostgreSQL does not answer: %v\n%s", err, text)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// postgresBin is the folder of the newest server there is; empty for none.
func postgresBin() string {
	if path, err := exec.LookPath("postgres"); err == nil {
		if path, err = filepath.EvalSymlinks(path); err == nil {
			return filepath.Dir(path)
		}
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return ""
	}
	return filepath.Dir(found[len(found)-1])
}

// unprivileged is somebody who is not root.
func unprivileged(t *testing.T) *syscall.Credential {
	who, err := user.Lookup("postgres")
	if err != nil {
		who, err = user.Lookup("nobody")
	}
	require.NoError(t, err)
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	require.NoError(t, err)
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	require.NoError(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// dialOnce dials one connection of a pool. What the same connection dials later is
// to cancel a query, and none of the pool's.
func dialOnce(dialTo pgconn.DialFunc) pgconn.DialFunc {
	var dialled atomic.Bool
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dialled.Load() {
			return new(net.Dialer).DialContext(ctx, network, addr)
		}
		c, err := dialTo(ctx, network, addr)
		if err == nil {
			dialled.Store(true)
		}
		return c, err
	}
}

const echoQuery = "select $1::bytea"

type pgxPool struct{ *pgxpool.Pool }

func openPgxpool(tb testing.TB, cfg pooltest.Config) pooltest.Pool {
	c, err := pgxpool.ParseConfig(server)
	if err != nil {
		tb.Fatal(err)
	}
	c.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		c.DialFunc = dialOnce(cfg.DialTo)
		return nil
	}
	c.MaxConns, c.MinConns = int32(cfg.Size), 0
	c.MaxConnIdleTime, c.MaxConnLifetime = time.Hour, time.Hour
	if cfg.MaxIdleTime > 0 {
		c.MaxConnIdleTime = cfg.MaxIdleTime
	}
	if cfg.MaxLifetime > 0 {
		c.MaxConnLifetime = cfg.MaxLifetime
	}
	c.HealthCheckPeriod = 50 * time.Millisecond
	if cfg.Check != nil {
		c.PrepareConn = func(ctx context.Context, conn *pgx.Conn) (bool, error) {
			return cfg.Check(ctx, conn.PgConn().Conn()) == nil, nil
		}
	}
	p, err := pgxpool.NewWithConfig(context.Background(), c)
	if err != nil {
		tb.Fatal(err)
	}
	return pgxPool{p}
}

func (p pgxPool) Limits() pooltest.Limits {
	return pooltest.Limits{Idle: true, Lifetime: true, Health: true}
}

func (p pgxPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	c, err := p.Pool.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	return pgxLease{c}, nil
}

func (p pgxPool) Close() error { p.Pool.Close(); return nil }

type pgxLease struct{ c *pgxpool.Conn }

func (l pgxLease) Conn() net.Conn { return l.c.Conn().PgConn().Conn() }
func (l pgxLease) Release()       { l.c.Release() }

// Discard closes the connection first: pgx would say goodbye to the server.

func (l pgxLease) Discard() {
	_ = l.Conn().Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.c.Conn().Close(ctx)
	l.c.Release()
}

func (l pgxLease) Echo(ctx context.Context, request []byte) (reply []byte, err error) {
	err = l.c.QueryRow(ctx, echoQuery, request).Scan(&reply)
	return reply, err
}

// sqlPool waits in Close for what is lent, which sql.DB does not. Since Go 1.23 that
// serves waiters in any order.
type sqlPool struct {
	*sql.DB
	lent *sync.WaitGroup
}

func (sqlPool) Unordered() {}

func openSQL(tb testing.TB, cfg pooltest.Config) pooltest.Pool {
	c, err := pgx.ParseConfig(server)
	if err != nil {
		tb.Fatal(err)
	}
	db := stdlib.OpenDB(*c, stdlib.OptionBeforeConnect(func(_ context.Context, c *pgx.ConnConfig) error {
		c.DialFunc = dialOnce(cfg.DialTo)
		return nil
	}))
	db.SetMaxOpenConns(cfg.Size)
	db.SetMaxIdleConns(cfg.Size)
	db.SetConnMaxIdleTime(cfg.MaxIdleTime)
	db.SetConnMaxLifetime(cfg.MaxLifetime)
	return sqlPool{db, new(sync.WaitGroup)}
}

func (sqlPool) Limits() pooltest.Limits { return pooltest.Limits{Idle: true, Lifetime: true} }

func (p sqlPool) Acquire(ctx context.Context) (pooltest.Lease, error) {
	c, err := p.Conn(ctx)
	if err != nil {
		return nil, err
	}
	p.lent.Add(1)
	l := sqlLease{c: c, lent: p.lent}
	err = c.Raw(func(dc any) error {
		l.conn = dc.(*stdlib.Conn).Conn().PgConn().Conn()
		return nil
	})
	if err != nil {
		l.Release()
		return nil, err
	}
	return l, nil
}

func (p sqlPool) Close() error {
	p.lent.Wait()
	return p.DB.Close()
}

type sqlLease struct {
	c    *sql.Conn
	conn net.Conn
	lent *sync.WaitGroup
}

func (l sqlLease) Conn() net.Conn { return l.conn }

func (l sqlLease) Release() {
	_ = l.c.Close()
	l.lent.Done()
}

// Discard closes the connection first: pgx does so in the background, where sql.DB
// believes it closed already and opens another.
func (l sqlLease) Discard() {
	_ = l.conn.Close()
	_ = l.c.Raw(func(any) error { return driver.ErrBadConn })
	l.Release()
}

func (l sqlLease) Echo(ctx context.Context, request []byte) (reply []byte, err error) {
	err = l.c.QueryRowContext(ctx, echoQuery, request).Scan(&reply)
	return reply, err
}
