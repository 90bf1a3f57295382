package found

import (
	"testing"
	"time"

	"github.com/dgraph-io/ristretto/v2"
	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/jellydator/ttlcache/v3"
	"github.com/patrickmn/go-cache"

	"tensile/stress/explore"
	"tensile/stress/modeltest"
)

var caches = []program{
	{module: "github.com/hashicorp/golang-lru/v2", name: "against a map, with room for all", model: model(lruModel)},
	{module: "github.com/hashicorp/golang-lru/v2", name: "evictions beside Resize and Purge", run: lruEvict},
	{module: "github.com/patrickmn/go-cache", name: "against a map", model: model(goCache)},
	{module: "github.com/jellydator/ttlcache/v3", name: "against a map", model: model(ttlModel)},
	{module: "github.com/jellydator/ttlcache/v3", name: "Stop beside expiry", run: ttlStop},
	{module: "github.com/dgraph-io/ristretto/v2", name: "Wait, Set and Del", run: ristrettoWait},
}

func lruModel() modeltest.Spec[*lru.Cache[string, int]] {
	type subject = *lru.Cache[string, int]
	return modeltest.Spec[subject]{
		New: func(tb testing.TB) subject {
			c, err := lru.New[string, int](10)
			if err != nil {
				tb.Fatal(err)
			}
			return c
		},
		Init: table(nil),
		Ops: []modeltest.Op[subject]{
			get("Get", subject.Get), get("Peek", subject.Peek),
			set("Add", func(c subject, key string, value int) { c.Add(key, value) }),
			remove("Remove", func(c subject, key string) { c.Remove(key) }),
			add("ContainsOrAdd", func(c subject, key string, value int) bool {
				ok, _ := c.ContainsOrAdd(key, value)
				return !ok
			}),
			getOrSet("PeekOrAdd", func(c subject, key string, value int) (int, bool) {
				previous, ok, _ := c.PeekOrAdd(key, value)
				if !ok {
					return value, false
				}
				return previous, true
			}),
		},
	}
}

// What was added and is no longer there was handed to the callback, once.
func lruEvict(e *explore.Run) {
	evicted := map[int]int{}
	c, err := lru.NewWithEvict(2, func(key, _ int) { evicted[key]++ })
	e.Check(err == nil, "NewWithEvict: %v", err)
	each(e, func() {
		c.Add(1, 0)
		c.Add(2, 0)
	}, func() {
		c.Add(3, 0)
		c.Add(4, 0)
	}, func() { c.Resize(1) }, c.Purge)
	c.Purge()
	for key := range 4 {
		e.Check(evicted[key+1] == 1, "%d was evicted %d times", key+1, evicted[key+1])
	}
}

func goCache() modeltest.Spec[*cache.Cache] {
	type subject = *cache.Cache
	read := func(c subject, key string) (int, bool) {
		value, ok := c.Get(key)
		if !ok {
			return 0, false
		}
		return value.(int), true
	}
	return modeltest.Spec[subject]{
		New:  func(testing.TB) subject { return cache.New(cache.NoExpiration, 0) },
		Init: table(nil),
		Ops: []modeltest.Op[subject]{
			get("Get", read), remove("Delete", subject.Delete),
			set("Set", func(c subject, key string, value int) { c.Set(key, value, cache.NoExpiration) }),
			add("Add", func(c subject, key string, value int) bool { return c.Add(key, value, cache.NoExpiration) == nil }),
			modeltest.Returns("IncrementInt", keys, func(c subject, key string) int {
				value, err := c.IncrementInt(key, 100)
				if err != nil {
					return -1
				}
				return value
			}, func(m table, key string) (table, int) {
				if !at(m, key).ok {
					return m, -1
				}
				return with(m, key, m[key]+100), m[key] + 100
			}),
		},
	}
}

func ttlModel() modeltest.Spec[*ttlcache.Cache[string, int]] {
	type subject = *ttlcache.Cache[string, int]
	return modeltest.Spec[subject]{
		New:  func(testing.TB) subject { return ttlcache.New[string, int]() },
		Init: table(nil),
		Ops: []modeltest.Op[subject]{
			modeltest.Returns("Has", keys, subject.Has,
				func(m table, key string) (table, bool) { return m, at(m, key).ok }),
			set("Set", func(c subject, key string, value int) { c.Set(key, value, ttlcache.NoTTL) }),
			remove("Delete", subject.Delete),
			add("GetOrSet", func(c subject, key string, value int) bool {
				_, ok := c.GetOrSet(key, value) // the item's value is that of later calls of Set
				return !ok
			}),
			modeltest.Returns("GetAndDelete", keys, func(c subject, key string) bool {
				_, ok := c.GetAndDelete(key)
				return ok
			}, func(m table, key string) (table, bool) { return without(m, key), at(m, key).ok }),
		},
	}
}

// Stop returns while items expire, and Start can follow.
func ttlStop(e *explore.Run) {
	c := ttlcache.New(ttlcache.WithTTL[int, int](time.Millisecond))
	e.Go("start", c.Start)
	each3(e, func() {
		c.Set(1, 1, ttlcache.DefaultTTL)
		c.Get(1)
		c.Touch(1)
	}, func() {
		c.Set(2, 2, 2*time.Millisecond)
		c.DeleteExpired()
	}, func() {
		time.Sleep(2 * time.Millisecond)
		c.Stop()
	})
	time.Sleep(time.Second) // Start may be late
	c.Stop()
	e.Wait()
}

func newRistretto(e *explore.Run) *ristretto.Cache[int, int] {
	c, err := ristretto.NewCache(&ristretto.Config[int, int]{NumCounters: 10, MaxCost: 10, BufferItems: 64})
	e.Check(err == nil, "NewCache: %v", err)
	return c
}

// What was set before Wait is there after it, or what was deleted is not.
func ristrettoWait(e *explore.Run) {
	c := newRistretto(e)
	each(e, func() { c.Set(1, 1, 1) }, func() { c.Set(2, 2, 1) }, func() {
		c.Set(3, 3, 1)
		c.Del(3)
		c.Wait()
		_, ok := c.Get(3)
		e.Check(!ok, "what was deleted is still there")
	})
	c.Wait()
	c.Close()
}
