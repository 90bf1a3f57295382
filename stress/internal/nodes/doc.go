// Package nodes has the node processes of a kit: it starts them, asks them, kills
// them and keeps what each holds of the others beside what is true of each; and
// it has what a node process itself does, and the calls that it makes.
package nodes
