package payload

import (
	"encoding/binary"
	"hash/crc32"
)

const valueSize = 64 // bytes of a value

// A value is the session, the number of the write, bytes that follow from the
// two, and a CRC-32 of all that.
func Value(session int, number uint32) []byte {
	v := make([]byte, 0, valueSize)
	v = binary.LittleEndian.AppendUint32(v, uint32(session))
	v = binary.LittleEndian.AppendUint32(v, number)
	for i := uint64(0); len(v) < valueSize-8; i++ {
		v = binary.LittleEndian.AppendUint64(v, Mix(uint64(session)<<32|uint64(number)+i<<56))
	}
	v = binary.LittleEndian.AppendUint32(v, 0)
	return binary.LittleEndian.AppendUint32(v, crc32.ChecksumIEEE(v))
}

// ReadValue is the number of the write whose value it is; ok is false if it
// is none of the session.
func ReadValue(session int, v []byte) (number uint32, ok bool) {
	if len(v) != valueSize || int(binary.LittleEndian.Uint32(v)) != session ||
		crc32.ChecksumIEEE(v[:valueSize-4]) != binary.LittleEndian.Uint32(v[valueSize-4:]) {
		return 0, false
	}
	return binary.LittleEndian.Uint32(v[4:]), true
}
