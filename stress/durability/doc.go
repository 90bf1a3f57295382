// Package durability takes storage that others have written through power cuts, with
// the kit that storagetest offers for any: embedded stores and logs, and the file
// store of NATS JetStream. It is a module of its own, so that those who use the
// library do not download them.
//
//	go -C stress/durability test -count=1 -v .
package durability
