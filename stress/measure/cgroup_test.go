package measure

import (
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
)

func TestCgroup(t *testing.T) {
	const (
		none = int64(-1) // not known
		gb   = int64(1e9)
	)
	for _, c := range []struct {
		what       string
		files      map[string]string
		use, limit int64
	}{
		{"no control groups", map[string]string{}, none, none},
		{"version 2, in a container", map[string]string{
			"proc/self/cgroup":             "0::/\n",
			"sys/fs/cgroup/memory.current": "123\n",
			"sys/fs/cgroup/memory.max":     "1000000000\n",
		}, 123, gb},
		{"version 2, without a limit", map[string]string{
			"proc/self/cgroup":             "0::/\n",
			"sys/fs/cgroup/memory.current": "123\n",
			"sys/fs/cgroup/memory.max":     "max\n",
		}, 123, none},
		{"version 2, nested: the limit above holds too", map[string]string{
			"proc/self/cgroup": "0::/user.slice/a.scope\n",
			"sys/fs/cgroup/user.slice/a.scope/memory.current": "7\n",
			"sys/fs/cgroup/user.slice/a.scope/memory.max":     "max\n",
			"sys/fs/cgroup/user.slice/memory.current":         "9\n",
			"sys/fs/cgroup/user.slice/memory.max":             "1000000000\n",
		}, 7, gb},
		{"version 2, nested: the lowest limit", map[string]string{
			"proc/self/cgroup":                 "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max":     "2000000000\n",
			"sys/fs/cgroup/a/memory.max":       "1000000000\n",
			"sys/fs/cgroup/a/b/memory.current": "0\n",
		}, 0, gb},
		{"version 1, and the name leads nowhere in the container", map[string]string{
			"proc/self/cgroup":                           "9:cpu:/\n4:memory:/docker/abc\n0::/\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes": "55\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "1000000000\n",
		}, 55, gb},
		{"version 1, by name", map[string]string{
			"proc/self/cgroup": "4:cpu,memory:/docker/abc:d\n",
			"sys/fs/cgroup/memory/docker/abc:d/memory.usage_in_bytes": "5\n",
			"sys/fs/cgroup/memory/docker/abc:d/memory.limit_in_bytes": "9223372036854771712\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes":              "55\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":              "9223372036854771712\n",
		}, 5, 9223372036854771712},
		{"both: memory is with version 1", map[string]string{
			"proc/self/cgroup":                           "0::/x\n4:memory:/\n",
			"sys/fs/cgroup/memory.current":               "1\n",
			"sys/fs/cgroup/memory/memory.usage_in_bytes": "2\n",
		}, 2, none},
		{"rubbish", map[string]string{
			"proc/self/cgroup":             "\n:\n::::\n0\n0::\n",
			"sys/fs/cgroup/memory.current": "many\n",
			"sys/fs/cgroup/memory.max":     "-5\n",
		}, none, none},
	} {
		root := fstest.MapFS{}
		for name, text := range c.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		expect := func(want int64, got *int64, what string) {
			if want == none {
				assert.Nil(t, got, "%s: %s", c.what, what)
			} else if assert.NotNil(t, got, "%s: %s", c.what, what) {
				assert.Equal(t, want, *got, "%s: %s", c.what, what)
			}
		}
		expect(c.use, cgroupUse(root), "use")
		expect(c.limit, cgroupLimit(root), "limit")
	}
}

func FuzzCgroup(f *testing.F) {
	f.Add("0::/a/b\n", "17\n")
	f.Add("4:memory:/../..\n0::/\n", "max\n")
	f.Add("4:memory:a/\x00/..//\n", "")
	f.Fuzz(func(t *testing.T, groups, figure string) {
		root := fstest.MapFS{
			"proc/self/cgroup":             {Data: []byte(groups)},
			"sys/fs/cgroup/memory.current": {Data: []byte(figure)},
			"sys/fs/cgroup/memory.max":     {Data: []byte(figure)},
		}
		for _, n := range []*int64{cgroupUse(root), cgroupLimit(root)} {
			if n != nil && *n < 0 {
				t.Fatalf("%q and %q gave %d", groups, figure, *n)
			}
		}
	})
}
