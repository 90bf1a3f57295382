package load

import "time"

// HeadStart is how long before its beginning a load is announced: so all
// nodes begin together.
const HeadStart = 20 * time.Millisecond

// Merge is the account of an open load of which each node offered a part.
func Merge(parts []Open) (sum Open) {
	for _, o := range parts {
		sum.Asked += o.Asked
		sum.Offered += o.Offered
		sum.N += o.N
		sum.Peak += o.Peak
		sum.Unfinished += o.Unfinished
		sum.Took = max(sum.Took, o.Took)
		sum.LateP50, sum.LateP99, sum.LateMax = max(sum.LateP50, o.LateP50), max(sum.LateP99, o.LateP99),
			max(sum.LateMax, o.LateMax)
		sum.Capacity += o.Capacity
	}
	return sum
}

// Join is the account of an open load that was offered in parts, one after the
// other, each at the same rate.
func Join(parts []Open) (sum Open) {
	for _, o := range parts {
		sum.Asked = o.Asked
		sum.Offered += o.Offered * float64(o.N)
		sum.Capacity += o.Capacity * float64(o.N)
		sum.N += o.N
		sum.Peak = max(sum.Peak, o.Peak)
		sum.Unfinished += o.Unfinished
		sum.Took += o.Took
		sum.LateP50, sum.LateP99, sum.LateMax = max(sum.LateP50, o.LateP50), max(sum.LateP99, o.LateP99),
			max(sum.LateMax, o.LateMax)
	}
	if sum.N > 0 {
		sum.Offered /= float64(sum.N)
		sum.Capacity /= float64(sum.N)
	}
	return sum
}
