package nats

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"tensile/stress"
	"tensile/stress/internal/settings"
)

const (
	engineName = "nats"
	// serveVariable has a process be a server, with its files in the folder named.
	serveVariable = "TENSILE_NATS_SERVE"
)

// patience bounds the start of a server, and what is asked of one.
const patience = 10 * time.Second

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveVariable); dir != "" {
		serve(dir)
		return
	}
	stress.Main(m, engineName)
}

// chosen skips a test where another engine was asked for, or none.
func chosen(t *testing.T) {
	t.Helper()
	switch set := os.Getenv("STRESS_ENGINE"); set {
	case engineName:
	case "", "memory":
		t.Skip("STRESS_ENGINE=nats has the kits run over NATS")
	default:
		t.Fatalf("stress: STRESS_ENGINE=%q, must be memory or nats", set)
	}
}

// variables are those of this module.
var variables = []settings.Variable[string]{
	settings.URL("STRESS_NATS_URL", func(yours *string, url string) { *yours = url }, "nats", "tls"),
}

// at returns the address of a server: the user's, or one that lives as long as
// the test.
func at(t testing.TB) string {
	var yours string
	require.NoError(t, settings.Read(&yours, os.Environ(), variables))
	if yours != "" {
		connect(t, yours).Close() // or say at once why not
		return yours
	}
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), serveVariable+"="+t.TempDir())
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	require.NoError(t, err)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	t.Cleanup(func() {
		_ = in.Close() // which ends it
		_ = child.Wait()
	})
	said, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "the server does not start")
	return strings.TrimSpace(said)
}

// serve is the life of a server process: it ends with its standard input.
func serve(dir string) {
	s, err := start(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.ClientURL())
	_, _ = io.Copy(io.Discard, os.Stdin)
	stop(s)
}

// start starts a server in this process and returns when it takes connections, or
// what it said for which it does not.
func start(o *server.Options) (*server.Server, error) {
	s, _, err := startLogged(o)
	return s, err
}

func startLogged(o *server.Options) (*server.Server, *log, error) {
	o.NoSigs = true
	said := &log{fatal: make(chan struct{})}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, said, err
	}
	s.SetLoggerV2(said, false, false, false)
	started := make(chan bool, 1)
	go s.Start()
	go func() { started <- s.ReadyForConnections(patience) }()
	select {
	case ok := <-started:
		if ok {
			return s, said, nil
		}
	case <-said.fatal:
	}
	stop(s)
	return nil, said, fmt.Errorf("nats: the server does not start: %s", said)
}

// stop ends a server, and returns when it has ended.
func stop(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// connect is a client with no patience for a server that is gone.
func connect(tb testing.TB, url string, more ...nats.Option) *nats.Conn {
	nc, err := nats.Connect(url, append(more, nats.Timeout(patience))...)
	if err != nil {
		tb.Fatalf("nats: %s: %v", url, err)
	}
	return nc
}
