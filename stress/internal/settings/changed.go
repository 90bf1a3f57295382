package settings

import (
	"fmt"
	"slices"
	"strings"
)

// elsewhere are settings that are said in another way, that say nothing of what is run,
// or that are of a run which is itself a repetition.
var elsewhere = []string{"STRESS_SEED", "STRESS_SCALE", "STRESS_OUT", "STRESS_SCHEDULE", "STRESS_CUT", "STRESS_PROGRAM"}

// Changed are the settings of an environment that a run needs to be repeated, as
// words for a shell: the seed and the scale that it had, and all others that were set. A
// password is not among them.
func Changed(environ []string, seed uint64, scale int) []string {
	words := []string{fmt.Sprintf("STRESS_SEED=%d", seed), fmt.Sprintf("STRESS_SCALE=%d", scale)}
	var others []string
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, prefix) && value != "" && !slices.Contains(elsewhere, name) {
			others = append(others, name+"="+word(hide(value)))
		}
	}
	slices.Sort(others)
	return append(words, others...)
}

// word quotes a value where a shell would take it for something else.
func word(value string) string {
	if strings.Trim(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.,:/=%+@") == "" {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
