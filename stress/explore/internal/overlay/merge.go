package overlay

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// list is what the go command reads of an overlay.
type list struct{ Replace map[string]string }

// OfFlags is the overlay that GOFLAGS names, "" for none. Of several the last counts, as
// for the go command.
func OfFlags(goflags string) (name string) {
	for _, flag := range strings.Fields(goflags) {
		if value, ok := strings.CutPrefix(strings.TrimLeft(strings.Trim(flag, `"'`), "-"), "overlay="); ok {
			name = value
		}
	}
	return name
}

// Merge writes an overlay of all files that others replace. Its error wraps
// ErrNotOffered where two replace the same file, and where a name is relative: to which
// folder is not known here.
func Merge(name string, others ...string) error {
	merged := list{Replace: make(map[string]string)}
	for _, other := range others {
		text, err := os.ReadFile(other)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrNotOffered, err)
		}
		var l list
		if err := json.Unmarshal(text, &l); err != nil {
			return fmt.Errorf("%w: overlay %s: %w", ErrNotOffered, other, err)
		}
		for file, by := range l.Replace {
			if !filepath.IsAbs(file) || by != "" && !filepath.IsAbs(by) {
				return fmt.Errorf("%w: overlay %s: %q by %q, names must be absolute", ErrNotOffered, other, file, by)
			}
			if _, twice := merged.Replace[file]; twice {
				return fmt.Errorf("%w: overlay %s replaces %s, which needs an edit of its own", ErrNotOffered, other, file)
			}
			merged.Replace[file] = by
		}
	}
	text, err := json.MarshalIndent(merged, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(name, text, 0o644)
}
