// Package nodes manages the node processes of a kit. It starts, asks and kills them, and
// compares what each lists of the others with what is true. It also has the code that runs in a
// node process, and the calls that a node makes.
package nodes
