package fleet

import (
	"errors"
	"net/url"
	"regexp"
	"strconv"

	"tensile/stress/internal/settings"
)

// The variables of a fleet, and what each must be.
const (
	serverVariable = "STRESS_FLEET"
	roleVariable   = "STRESS_FLEET_ROLE"
	agentsVariable = "STRESS_FLEET_AGENTS"
	nameVariable   = "STRESS_FLEET_NAME"

	serverMust = "the URL of a NATS server, such as nats://user:password@host:4222 or tls://host:4222"
	roleMust   = "lead or agent"
	agentsMust = "a whole number from 1 to 1000"
	nameMust   = "up to 64 letters, digits, hyphens and underscores"
)

var names = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

var variables = []settings.Variable[Options]{
	{Name: serverVariable, Set: func(o *Options, value string) string {
		u, err := url.Parse(value)
		if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" ||
			u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
			return serverMust
		}
		o.Server = value
		return ""
	}},
	settings.OneOf(roleVariable, roleMust, map[string]Role{"lead": Lead, "agent": Agent},
		func(o *Options, role Role) { o.Role = role }),
	settings.Whole(agentsVariable, 1, 1000, func(o *Options, n int) { o.Agents = n }),
	{Name: nameVariable, Set: func(o *Options, value string) string {
		if !names.MatchString(value) {
			return nameMust
		}
		o.Name = value
		return ""
	}},
}

// fromEnvironment reads the options from an environment as os.Environ gives it.
func fromEnvironment(environ []string) (o Options, err error) {
	if err := settings.Read(&o, environ, variables); err != nil {
		return Options{}, err
	}
	if o.Server == "" {
		var wrong []error
		for name, value := range map[string]string{
			roleVariable: string(o.Role), agentsVariable: text(o.Agents), nameVariable: o.Name,
		} {
			if value != "" {
				wrong = append(wrong, settings.Lacks(name, value, serverVariable, serverMust))
			}
		}
		return o, errors.Join(wrong...)
	}
	switch {
	case o.Role == Alone:
		return o, settings.Lacks(serverVariable, o.Server, roleVariable, roleMust)
	case o.Role == Lead && o.Agents == 0:
		return o, settings.Lacks(roleVariable, string(o.Role), agentsVariable, agentsMust)
	}
	return o, nil
}

// text is a number that was set, or "".
func text(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}
