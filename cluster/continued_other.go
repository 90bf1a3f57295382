//go:build !unix

package cluster

import "os"

// notifyContinued has nothing to tell here.
func notifyContinued() (continued <-chan os.Signal, end func()) { return nil, func() {} }
