package settings

import "strings"

// meant is the name of which another looks like a misspelling, or "": one that has two
// letters wrong at most, one in a short name, or that goes on where the name ends.
func meant(name string, names []string) string {
	best, closest := "", 3
	for _, one := range names {
		most := 2
		if len(one)-len(prefix) < 5 { // many words are two letters from OUT
			most = 1
		}
		if d := edits(name, one); d <= most && d < closest {
			best, closest = one, d
		}
	}
	if best != "" {
		return best
	}
	for _, one := range names {
		if strings.HasPrefix(name, one) && len(one) > len(best) {
			best = one
		}
	}
	return best
}

// edits is the number of letters to add, leave out, change or swap with the next to
// make b of a (the optimal string alignment distance).
func edits(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range b {
		rows[0][j+1] = j + 1
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			d := min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, rows[i-2][j-2]+1)
			}
			rows[i][j] = d
		}
	}
	return rows[len(a)][len(b)]
}
