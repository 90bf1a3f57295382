package wal

import "path/filepath"

// AsVersion2 turns a segment into one of a later format.
func AsVersion2(data []byte) []byte {
	little.PutUint32(data[8:], 2)
	little.PutUint32(data[12:], headerSum([segmentHeader]byte(data)))
	return data
}

// Record is a record and where it stands, without its padding.
type Record struct {
	From, To int
	Payload  []byte
}

// Records are those of data in a segment, as a scan finds them.
func Records(path string, data []byte) (all []Record) {
	number, _ := parseName(filepath.Base(path))
	_, _ = scan(data, number, func(at int, kind byte, payload []byte) error {
		if kind == kindData {
			all = append(all, Record{at, at + frameHeader + len(payload), payload})
		}
		return nil
	})
	return all
}
