package payload

// Mix turns consecutive numbers into ones that look random: SplitMix64
// (Steele, Lea, Flood 2014).
func Mix(x uint64) uint64 {
	x += Golden
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

const Golden = 0x9E3779B97F4A7C15
