package recorder

// openCall is open, which is not here.
const openCall = 0

// onlyHere are calls that newer architectures do without.
var onlyHere []uint32

// modern translates such a call to the one that replaces it.
func modern(*call) {}
