package explore

import "sync"

// Cache counts by name. If Faulty, Add holds the lock for its read and for its write, but
// not in between.
type Cache struct {
	Faulty bool
	mu     sync.Mutex
	sums   map[string]int
}

// Sum is what was added to a name.
func (c *Cache) Sum(name string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.sums[name]
}

// Add adds to a name and returns the sum.
func (c *Cache) Add(name string, n int) int {
	sum := n
	if c.Faulty {
		sum += c.Sum(name)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sums == nil {
		c.sums = map[string]int{}
	}
	if !c.Faulty {
		sum += c.sums[name]
	}
	c.sums[name] = sum
	return sum
}
