// Package durability runs third-party storage through power cuts with storagetest:
// embedded stores and logs, and the file store of NATS JetStream. It is a separate
// module, so that users of tensile do not download them.
//
//	go -C stress/durability test -count=1 -v .
package durability
