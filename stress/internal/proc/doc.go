// Package proc runs child processes that are the test binary itself, executed again. A kit
// therefore needs no second program, and its user needs no TestMain.
//
// There are two ways to say what a child does. [Handle] takes over while packages are
// initialised, before any test. It is for children that have nothing to do with the subject,
// such as an echo server. A kit calls [At] in the middle of a test: [Site.Start] executes the
// same test again, and in the child the same call finds that it is in a child, and has the
// subject that the user passed to the kit.
//
// Parent and child exchange JSON over two pipes other than the standard ones, so a child may
// print what it likes. The parent asks and the child answers, each question on a goroutine of
// its own. The child also sends events.
//
// A child dies with its parent, however the parent dies: its pipe closes, and on Linux the
// kernel kills it as well.
package proc
