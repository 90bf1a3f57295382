package settings

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// ErrSetting is wrapped by every error of this package; the message names the
// variable, its value and what it must be.
var ErrSetting = errors.New("bad setting")

// Variable is an environment variable that sets something in an S.
type Variable[S any] struct {
	Name string
	// Set keeps the value, which is not empty, or says in words what it must be.
	Set func(s *S, value string) (must string)
}

const prefix = "STRESS_"

// Read keeps in s what the variables of a table say in an environment as os.Environ
// gives it. One that is empty counts as not set. All that is wrong is in the error,
// a name that is almost one of the table's too; other names are left to others.
func Read[S any](s *S, environ []string, table []Variable[S]) error {
	var wrong []error
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		at := slices.IndexFunc(table, func(v Variable[S]) bool { return v.Name == name })
		if at < 0 {
			if meant := meant(name, names(table)); meant != "" {
				wrong = append(wrong, fmt.Errorf("%w: %s=%q is unknown, must be %s", ErrSetting, name, hide(value), meant))
			}
			continue
		}
		if value == "" {
			continue
		}
		if must := table[at].Set(s, value); must != "" {
			wrong = append(wrong, fmt.Errorf("%w: %s=%q, must be %s", ErrSetting, name, hide(value), must))
		}
	}
	return errors.Join(wrong...)
}

// Lacks is the error for a variable that says nothing without another.
func Lacks(name, value, other, must string) error {
	return fmt.Errorf("%w: %s=%q without %s, which must be %s", ErrSetting, name, hide(value), other, must)
}

// names are those of the variables of a table, sorted.
func names[S any](table []Variable[S]) []string {
	names := make([]string, len(table))
	for i, v := range table {
		names[i] = v.Name
	}
	slices.Sort(names)
	return names
}

// Whole is a variable for a whole number.
func Whole[S any](name string, least, most int, set func(*S, int)) Variable[S] {
	return variable(name, fmt.Sprintf("a whole number from %d to %d", least, most), set, func(value string) (int, bool) {
		n, err := strconv.Atoi(value)
		return n, err == nil && n >= least && n <= most
	})
}

// duration is a variable for a time, such as the example.
func duration[S any](name string, least, most time.Duration, example string, set func(*S, time.Duration)) Variable[S] {
	must := fmt.Sprintf("a duration from %s to %s, such as %s", short(least), short(most), example)
	return variable(name, must, set, func(value string) (time.Duration, bool) {
		d, err := time.ParseDuration(value)
		return d, err == nil && d >= least && d <= most
	})
}

// short writes a duration without what is zero: 24h, and not 24h0m0s.
func short(d time.Duration) string {
	text := d.String()
	if d%time.Minute == 0 {
		text = strings.TrimSuffix(text, "0s")
	}
	if d%time.Hour == 0 {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// OneOf is a variable for one of some values.
func OneOf[S, V any](name, must string, values map[string]V, set func(*S, V)) Variable[S] {
	return variable(name, must, set, func(value string) (V, bool) {
		v, ok := values[value]
		return v, ok
	})
}

// URL is a variable for the address of a server, by one of its schemes.
func URL[S any](name string, set func(*S, string), schemes ...string) Variable[S] {
	must := fmt.Sprintf("a URL such as %s://user:secret@127.0.0.1", schemes[0])
	return variable(name, must, set, func(value string) (string, bool) {
		u, err := url.Parse(value)
		return value, err == nil && u.Host != "" && slices.Contains(schemes, u.Scheme)
	})
}

// positive is a variable for a number above 0, which may bear its unit.
func positive[S any](name, must, unit string, set func(*S, float64)) Variable[S] {
	return variable(name, must, set, func(value string) (float64, bool) {
		x, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(value, unit)), 64)
		return x, err == nil && x > 0 && !math.IsInf(x, 0)
	})
}

// toggle is a variable that turns something on.
func toggle[S any](name string, set func(*S, bool)) Variable[S] {
	return variable(name, "1 or 0", set, func(value string) (bool, bool) {
		on, err := strconv.ParseBool(value)
		return on, err == nil
	})
}

// variable is one whose values are what parse makes of them.
func variable[S, V any](name, must string, set func(*S, V), parse func(string) (V, bool)) Variable[S] {
	return Variable[S]{name, func(s *S, value string) string {
		v, ok := parse(value)
		if !ok {
			return must
		}
		set(s, v)
		return ""
	}}
}

// secrets are the user and the password of a URL, also of one that is no URL
// since the password has a slash in it.
var secrets = regexp.MustCompile(`://.*@`)

// hide leaves the password out of a value that is shown.
func hide(value string) string { return secrets.ReplaceAllString(value, "://***@") }
