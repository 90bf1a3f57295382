//go:build !unix

package report

const canFillDisk = false

func fillDisk() {}
