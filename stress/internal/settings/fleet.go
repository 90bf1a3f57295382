package settings

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strconv"
)

// Role is what a process is in a fleet.
type Role string

// The roles. Alone is that of a process for which no fleet was set.
const (
	Alone Role = ""
	Lead  Role = "lead"
	Agent Role = "agent"
)

// Fleet is of which fleet this process is part, and as what.
type Fleet struct {
	URL    string // of the NATS server; "" for none
	Role   Role
	Agents int    // for which the lead waits
	Name   string // beside that of the test; may be empty
}

// The variables of a fleet.
const (
	fleetURL    = "STRESS_FLEET"
	fleetRole   = "STRESS_FLEET_ROLE"
	fleetAgents = "STRESS_FLEET_AGENTS"
	fleetName   = "STRESS_FLEET_NAME"

	mostAgents     = 1000
	acceptedFleet  = "the URL of a NATS server, such as nats://user:password@host:4222 or tls://host:4222"
	acceptedRole   = "lead or agent"
	acceptedAgents = "a whole number from 1 to 1000"
	acceptedName   = "up to 64 letters, digits, hyphens and underscores"
)

var fleetNames = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func init() {
	parsers[fleetURL] = func(s *Settings, value string, _ Build) string {
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" ||
			u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
			return acceptedFleet
		}
		s.Fleet.URL = value
		return ""
	}
	parsers[fleetRole] = func(s *Settings, value string, _ Build) string {
		role := Role(value)
		if role != Lead && role != Agent {
			return acceptedRole
		}
		s.Fleet.Role = role
		return ""
	}
	parsers[fleetAgents] = func(s *Settings, value string, _ Build) string {
		agents, err := strconv.Atoi(value)
		if err != nil || agents < 1 || agents > mostAgents {
			return acceptedAgents
		}
		s.Fleet.Agents = agents
		return ""
	}
	parsers[fleetName] = func(s *Settings, value string, _ Build) string {
		if !fleetNames.MatchString(value) {
			return acceptedName
		}
		s.Fleet.Name = value
		return ""
	}
}

// wholeFleet tells what a fleet lacks, by the variables that have a value.
func wholeFleet(values map[string]string) error {
	lacks := func(has, other, accepted string) error {
		return fmt.Errorf("%w: %s=%q without %s, which must be %s", ErrSetting, has, hide(values[has]), other, accepted)
	}
	if values[fleetURL] == "" {
		var wrong []error
		for _, name := range []string{fleetRole, fleetAgents, fleetName} {
			if values[name] != "" {
				wrong = append(wrong, lacks(name, fleetURL, acceptedFleet))
			}
		}
		return errors.Join(wrong...)
	}
	if values[fleetRole] == "" {
		return lacks(fleetURL, fleetRole, acceptedRole)
	}
	if Role(values[fleetRole]) == Lead && values[fleetAgents] == "" {
		return lacks(fleetRole, fleetAgents, acceptedAgents)
	}
	return nil
}

// secrets are the user and the password of a URL, also of one that is no URL
// since the password has a slash in it.
var secrets = regexp.MustCompile(`://.*@`)

// hide leaves the password out of a value that is shown.
func hide(value string) string { return secrets.ReplaceAllString(value, "://***@") }
