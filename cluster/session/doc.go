// Package session stub.
package session
