package outside

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"net"
	"sync"
)

// SQLPool has database/sql keep the connections.
type SQLPool struct {
	db   *sql.DB
	lent sync.WaitGroup
}

// NewSQLPool returns a pool of size connections, none of them open yet.
func NewSQLPool(size int, dial Dial) *SQLPool {
	p := &SQLPool{db: sql.OpenDB(connector(dial))}
	p.db.SetMaxOpenConns(size)
	p.db.SetMaxIdleConns(size)
	return p
}

// SQLConn is a connection lent by an SQLPool. It ends with Put or with Drop.
type SQLConn struct {
	net.Conn
	pool *SQLPool
	lent *sql.Conn
}

// Get lends a connection.
func (p *SQLPool) Get(ctx context.Context) (*SQLConn, error) {
	p.lent.Add(1)
	lent, err := p.db.Conn(ctx)
	if err != nil {
		p.lent.Done()
		return nil, err
	}
	c := &SQLConn{pool: p, lent: lent}
	err = lent.Raw(func(raw any) error { c.Conn = raw.(*conn).Conn; return nil })
	return c, err
}

// Put gives the connection back.
func (c *SQLConn) Put() {
	_ = c.lent.Close() // it goes back to the idle ones
	c.pool.lent.Done()
}

// Drop closes the connection for good.
func (c *SQLConn) Drop() {
	_ = c.lent.Raw(func(any) error { return driver.ErrBadConn }) // its way of being told
	c.Put()
}

// Close refuses further callers and waits for the connections lent out, which
// sql.DB.Close alone does not.
func (p *SQLPool) Close() error {
	err := p.db.Close()
	p.lent.Wait()
	return err
}

// connector is the least that database/sql takes for a driver.
type connector Dial

type conn struct{ net.Conn }

var errNoSQL = errors.New("outside: connections only, no SQL")

func (d connector) Connect(ctx context.Context) (driver.Conn, error) {
	c, err := d(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{c}, nil
}
func (d connector) Driver() driver.Driver            { return d }
func (d connector) Open(string) (driver.Conn, error) { return d.Connect(context.Background()) }
func (*conn) Prepare(string) (driver.Stmt, error)    { return nil, errNoSQL }
func (*conn) Begin() (driver.Tx, error)              { return nil, errNoSQL }
