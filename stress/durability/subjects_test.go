package durability

import (
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	badger "github.com/dgraph-io/badger/v4"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"github.com/tidwall/wal"
	"go.etcd.io/bbolt"
	_ "modernc.org/sqlite"

	"tensile/stress/storagetest"
)

// boltStore is bbolt with its defaults. It has no Sync: a commit is durable by itself.
type boltStore struct{ db *bbolt.DB }

var bucket = []byte("bucket")

func openBolt(dir string) (storagetest.Store, error) {
	db, err := bbolt.Open(filepath.Join(dir, "bolt.db"), 0o600, nil)
	if err != nil {
		return nil, err
	}
	return boltStore{db}, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

func (s boltStore) PutAll(values map[string][]byte) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		for k, v := range values {
			if err := tx.Bucket(bucket).Put([]byte(k), v); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s boltStore) Put(key string, value []byte) error {
	return s.PutAll(map[string][]byte{key: value})
}

func (s boltStore) Delete(key string) error {
	return s.db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Delete([]byte(key)) })
}

func (s boltStore) Get(key string) (value []byte, ok bool, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		if v := tx.Bucket(bucket).Get([]byte(key)); v != nil {
			value, ok = append([]byte(nil), v...), true
		}
		return nil
	})
	return value, ok, err
}

func (s boltStore) Close() error { return s.db.Close() }

// pebbleStore is pebble, with writes that ask for a sync.
type pebbleStore struct{ *pebble.DB }

func openPebble(dir string) (storagetest.Store, error) {
	db, err := pebble.Open(filepath.Join(dir, "pebble"), &pebble.Options{Logger: quiet{}, MemTableSize: 64 << 10})
	if err != nil {
		return nil, err
	}
	return pebbleStore{db}, nil
}

type quiet struct{}

func (quiet) Infof(string, ...any)           {}
func (quiet) Errorf(string, ...any)          {}
func (quiet) Fatalf(format string, a ...any) { panic(fmt.Sprintf(format, a...)) }

func (s pebbleStore) PutAll(values map[string][]byte) error {
	b := s.NewBatch()
	for k, v := range values {
		if err := b.Set([]byte(k), v, nil); err != nil {
			return err
		}
	}
	return b.Commit(pebble.Sync)
}

func (s pebbleStore) Put(key string, value []byte) error {
	return s.Set([]byte(key), value, pebble.Sync)
}

func (s pebbleStore) Delete(key string) error { return s.DB.Delete([]byte(key), pebble.Sync) }

func (s pebbleStore) Get(key string) ([]byte, bool, error) {
	v, closer, err := s.DB.Get([]byte(key))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	v = append([]byte(nil), v...)
	return v, true, closer.Close()
}

// levelStore is goleveldb, with writes that ask for a sync.
type levelStore struct{ *leveldb.DB }

func openLevel(dir string) (storagetest.Store, error) {
	db, err := leveldb.OpenFile(filepath.Join(dir, "leveldb"), &opt.Options{WriteBuffer: 16 << 10})
	if err != nil {
		return nil, err
	}
	return levelStore{db}, nil
}

var levelSync = &opt.WriteOptions{Sync: true}

func (s levelStore) PutAll(values map[string][]byte) error {
	var b leveldb.Batch
	for k, v := range values {
		b.Put([]byte(k), v)
	}
	return s.Write(&b, levelSync)
}

func (s levelStore) Put(key string, value []byte) error {
	return s.DB.Put([]byte(key), value, levelSync)
}

func (s levelStore) Delete(key string) error { return s.DB.Delete([]byte(key), levelSync) }

func (s levelStore) Get(key string) ([]byte, bool, error) {
	v, err := s.DB.Get([]byte(key), nil)
	if errors.Is(err, leveldb.ErrNotFound) {
		return nil, false, nil
	}
	return v, err == nil, err
}

// sqlStore is SQLite, as modernc.org/sqlite has it in Go.
type sqlStore struct{ *sql.DB }

func openSQLite(pragmas string) func(dir string) (storagetest.Store, error) {
	return func(dir string) (storagetest.Store, error) {
		db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "sqlite.db")+pragmas)
		if err != nil {
			return nil, err
		}
		db.SetMaxOpenConns(1)
		if _, err = db.Exec("create table if not exists pairs (k text primary key, v blob)"); err != nil {
			return nil, errors.Join(err, db.Close())
		}
		return sqlStore{db}, nil
	}
}

const upsert = "insert into pairs values (?, ?) on conflict (k) do update set v = excluded.v"

func (s sqlStore) Put(key string, value []byte) error {
	_, err := s.Exec(upsert, key, value)
	return err
}

func (s sqlStore) PutAll(values map[string][]byte) error {
	tx, err := s.Begin()
	if err != nil {
		return err
	}
	for k, v := range values {
		if _, err := tx.Exec(upsert, k, v); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

func (s sqlStore) Delete(key string) error {
	_, err := s.Exec("delete from pairs where k = ?", key)
	return err
}

func (s sqlStore) Get(key string) (value []byte, ok bool, err error) {
	err = s.QueryRow("select v from pairs where k = ?", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	return value, err == nil, err
}

// badgerStore is badger with SyncWrites. It has no Sync: a commit is durable by itself.
type badgerStore struct{ db *badger.DB }

func openBadger(dir string) (storagetest.Store, error) {
	db, err := badger.Open(badger.DefaultOptions(filepath.Join(dir, "badger")).WithSyncWrites(true).WithLogger(nil).
		WithMemTableSize(1 << 20).WithValueLogFileSize(1 << 20).WithNumCompactors(2).WithValueThreshold(1 << 10))
	if err != nil {
		return nil, err
	}
	return badgerStore{db}, nil
}

func (s badgerStore) PutAll(values map[string][]byte) error {
	return s.db.Update(func(tx *badger.Txn) error {
		for k, v := range values {
			if err := tx.Set([]byte(k), v); err != nil {
				return err
			}
		}
		return nil
	})
}

func (s badgerStore) Put(key string, value []byte) error {
	return s.PutAll(map[string][]byte{key: value})
}

func (s badgerStore) Delete(key string) error {
	return s.db.Update(func(tx *badger.Txn) error { return tx.Delete([]byte(key)) })
}

func (s badgerStore) Get(key string) (value []byte, ok bool, err error) {
	err = s.db.View(func(tx *badger.Txn) error {
		item, err := tx.Get([]byte(key))
		if errors.Is(err, badger.ErrKeyNotFound) {
			return nil
		}
		if err == nil {
			value, err = item.ValueCopy(nil)
			ok = err == nil
		}
		return err
	})
	return value, ok, err
}

func (s badgerStore) Close() error { return s.db.Close() }

// tidwallLog is tidwall/wal with its defaults, but for short files.
type tidwallLog struct{ l *wal.Log }

func openTidwall(dir string) (storagetest.Log, error) {
	o := *wal.DefaultOptions
	o.SegmentSize = 8 << 10
	l, err := wal.Open(filepath.Join(dir, "wal"), &o)
	if err != nil {
		return nil, err
	}
	return &serial{log: tidwallLog{l}}, nil
}

func (s tidwallLog) Append(record []byte) error {
	last, err := s.l.LastIndex()
	if err != nil {
		return err
	}
	return s.l.Write(last+1, record)
}

func (s tidwallLog) Records() (all [][]byte, err error) {
	first, err := s.l.FirstIndex()
	if err != nil {
		return nil, err
	}
	last, err := s.l.LastIndex()
	if err != nil {
		return nil, err
	}
	for i := max(first, 1); i <= last; i++ {
		r, err := s.l.Read(i)
		if err != nil {
			return nil, fmt.Errorf("record %d: %w", i, err)
		}
		all = append(all, r)
	}
	return all, nil
}

func (s tidwallLog) Close() error { return s.l.Close() }

// serial lets one caller in at a time: the log gives no numbers by itself.
type serial struct {
	mu  sync.Mutex
	log tidwallLog
}

func (s *serial) Append(record []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Append(record)
}

func (s *serial) Records() ([][]byte, error) { return s.log.Records() }
func (s *serial) Close() error               { return s.log.Close() }
