package measure

import (
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
)

// Environment is what a figure must be read together with. Text that could not
// be had is "unknown".
type Environment struct {
	GoVersion  string `json:"go_version"`
	OS         string `json:"os"`
	Arch       string `json:"arch"`
	Kernel     string `json:"kernel"`
	CPU        string `json:"cpu"`
	Cores      int    `json:"cores"`
	GOMAXPROCS int    `json:"gomaxprocs"`
	GOGC       string `json:"gogc"`       // percent, or "off"
	GOMEMLIMIT int64  `json:"gomemlimit"` // bytes; the largest int64 for none
	// MemoryTotal and DescriptorLimit are nil if not known.
	MemoryTotal     *int64  `json:"memory_total_bytes"`
	DescriptorLimit *uint64 `json:"descriptor_limit"`
	LoadAverage     string  `json:"load_average"` // 1, 5 and 15 minutes, at the start
	Commit          string  `json:"commit"`       // of the working directory; "+changes" if modified
	Race            bool    `json:"race"`
	Short           bool    `json:"short"`
	Scale           int     `json:"scale"`
	Seed            uint64  `json:"seed"`
}

const unknown = "unknown"

// Fingerprint reads what this machine and this build tell; the rest is the
// caller's to fill in.
func Fingerprint() Environment {
	e := Environment{
		GoVersion:       runtime.Version(),
		OS:              runtime.GOOS,
		Arch:            runtime.GOARCH,
		Kernel:          firstLine("/proc/sys/kernel/osrelease"),
		CPU:             procField("/proc/cpuinfo", "model name"),
		Cores:           runtime.NumCPU(),
		GOMAXPROCS:      runtime.GOMAXPROCS(0),
		GOGC:            gcPercent(),
		GOMEMLIMIT:      debug.SetMemoryLimit(-1), // a negative limit only asks
		LoadAverage:     unknown,
		Commit:          commit(),
		DescriptorLimit: descriptorLimit(),
	}
	if load := strings.Fields(firstLine("/proc/loadavg")); len(load) >= 3 {
		e.LoadAverage = strings.Join(load[:3], " ")
	}
	e.MemoryTotal = kilobytes("/proc/meminfo", "MemTotal")
	return e
}

// MemoryAvailable is what this process could use without swapping, in bytes:
// what the kernel thinks is available, or the limit of the control group where
// that is lower. It is nil if neither is known.
func MemoryAvailable() *int64 {
	available := kilobytes("/proc/meminfo", "MemAvailable")
	if limit := cgroupLimit(system); limit != nil && (available == nil || *limit < *available) {
		available = limit
	}
	return available
}

func gcPercent() string {
	sample := []metrics.Sample{{Name: "/gc/gogc:percent"}}
	metrics.Read(sample)
	percent := sample[0].Value.Uint64()
	if percent > 1<<31 {
		return "off"
	}
	return strconv.FormatUint(percent, 10)
}

func firstLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return unknown
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return line
}

// procField returns the value of the first line "name : value" of a file.
func procField(path, name string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return unknown
	}
	for line := range strings.Lines(string(text)) {
		key, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return unknown
}

// kilobytes reads a line such as "VmHWM:  1234 kB", in bytes.
func kilobytes(path, name string) *int64 {
	kb, err := strconv.ParseInt(strings.TrimSuffix(procField(path, name), " kB"), 10, 64)
	if err != nil {
		return nil
	}
	kb *= 1024
	return &kb
}

// commit asks git, as a test binary carries no version of its own.
func commit() string {
	head, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return unknown
	}
	id := strings.TrimSpace(string(head))
	if changes, err := exec.Command("git", "status", "--porcelain").Output(); err == nil && len(changes) > 0 {
		id += "+changes"
	}
	return id
}
