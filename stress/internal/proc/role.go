package proc

import (
	"fmt"
	"os"
	"os/signal"
)

// roleVariable tells a child what it is. It does not begin with STRESS_, as it
// is nothing for users to set.
const roleVariable = "TENSILE_ROLE"

// Handle runs serve and ends the process if it was started in the role, and
// does nothing otherwise. It is called from an init function.
func Handle(role string, serve func(*Link) error) {
	if os.Getenv(roleVariable) == role {
		become(role, serve)
	}
}

// Where there are no process groups, the interrupt key of a terminal is told to children
// too. It means their parent, which ends them: one that ended by itself would look like a
// fault of the subject.
func init() {
	if IsChild() {
		signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	}
}

// IsChild tells whether this process was started by this package.
func IsChild() bool { return os.Getenv(roleVariable) != "" }

// Start executes this program again in the role. config is for the child's
// Link.Config.
func Start(role string, config any) (*Process, error) {
	return start(role, config, Options{}, nil)
}

// become is the whole life of a child.
func become(role string, serve func(*Link) error) {
	link, err := openLink()
	if err == nil {
		err = serve(link)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "tensile %s: %v\n", role, err)
		os.Exit(1)
	}
	os.Exit(0)
}
