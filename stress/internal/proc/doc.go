// Package proc runs child processes that are the test binary itself, executed
// again. A kit so needs no second program, and its user no TestMain.
//
// There are two ways to say what a child does. [Handle] takes a role over while
// packages are initialised, before any test: it is for children that have
// nothing to do with the subject, such as an echo server. [At] is called by a
// kit in the middle of a test: [Site.Start] executes the same test again, where
// the same call finds itself to be the child, and has the subject that the
// user handed to the kit.
//
// Parent and child speak JSON over two pipes that are not the standard ones, so
// a child may print what it likes. The parent asks and the child answers, each
// question on a goroutine of its own; the child also tells of events.
//
// A child dies with its parent, whatever way that goes: its pipe ends, and on
// Linux the kernel kills it as well.
package proc
