//go:build !linux

package stress

// addresses is how many addresses of the loopback callers may have.
const addresses = 1
