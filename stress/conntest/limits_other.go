//go:build !linux

package conntest

// addresses is how many addresses of the loopback callers may have.
const addresses = 1
