package fleet

import "errors"

// What ends a run before its result. Each is wrapped by an error that says more.
var (
	ErrLoad    = errors.New("fleet: this is no load to offer")         // in itself, or other than the lead's
	ErrServer  = errors.New("fleet: no connection to the NATS server") // not there, or a wrong password
	ErrNoLead  = errors.New("fleet: no lead came")                     // within Load.Wait
	ErrTaken   = errors.New("fleet: there is another lead")            // of the same test and name
	ErrRefused = errors.New("fleet: the lead takes no more agents")    // it has those it waited for
	ErrAgents  = errors.New("fleet: too few agents came")              // within Load.Wait
	ErrLost    = errors.New("fleet: lost")                             // to an agent its lead, to a lead all agents
	ErrStopped = errors.New("fleet: the lead ended the run")           // for a reason of its own
)

// What makes the part of an agent "not measured" beside its death. Both are seen
// by the lead.
var (
	ErrMessage = errors.New("fleet: a message that cannot be read")
	ErrSamples = errors.New("fleet: samples that are not what was recorded") // by checksum or count
)
