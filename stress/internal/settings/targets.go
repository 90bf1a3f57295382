package settings

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"tensile/stress/validate"
)

// parseTargets accepts pairs such as pooling.throughput=20000,sessions.p99=250.
func parseTargets(s *Settings, value string, _ Build) (accepted string) {
	ids := validate.SettableIDs()
	targets := make(map[string]float64)
	for _, pair := range strings.Split(value, ",") {
		id, text, _ := strings.Cut(strings.TrimSpace(pair), "=")
		target, err := strconv.ParseFloat(text, 64)
		_, twice := targets[id]
		if err != nil || !(target > 0) || math.IsInf(target, 0) || twice || !slices.Contains(ids, id) {
			return "a list such as pooling.throughput=20000,sessions.p99=250, each once and above 0, of " +
				strings.Join(ids, ", ")
		}
		targets[id] = target
	}
	s.Targets = targets
	s.Notes = append(s.Notes, fmt.Sprintf("Targets were set that are not the specification's: %s.", value))
	return ""
}
