package conntest

// addresses is how many addresses of the loopback callers may have: Linux
// answers to all of 127.0.0.0/8.
const addresses = 250
