package session

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"
)

// A node that cannot reach another one compares its partitions with it by way of
// a third, which reaches both: so one broken link keeps nobody from catching up.

var errUnreachable = errors.New("session: nobody reaches the node")

// reachable tells whether a node can be asked, be it by way of another one.
func (s *Store) reachable(name string) bool { return s.net.Alive(name) || s.via(name) != nil }

// via is a node that hears another one, which this one does not.
func (s *Store) via(to string) *peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, name := range s.known(s.state.Load()) {
		thinks, ok := s.opinions[name]
		if ok && name != to && s.alive(name) && !slices.Contains(thinks.suspects, to) {
			return s.peer(name)
		}
	}
	return nil
}

// callVia is call by way of another node.
func (p *peer) callVia(via *peer, request []byte) ([]byte, error) {
	if via == nil {
		return nil, errUnreachable
	}
	s := p.store
	answered, failed := make(chan []byte, 1), make(chan error, 1)
	s.mu.Lock()
	s.relay++
	id := s.relay
	s.relays[id] = answered
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.relays, id)
	}()
	message := binary.AppendUvarint([]byte{msgRelay}, id)
	message = append(appendKey(message, p.name), request...)
	s.net.Go(via.name, message, func(_ []byte, err error) {
		if err != nil {
			failed <- err
		}
	})
	late := time.NewTimer(callTime)
	defer late.Stop()
	select {
	case reply := <-answered:
		return reply, nil
	case err := <-failed:
		return nil, err
	case <-late.C:
		return nil, errUnreachable
	case <-s.closed:
		return nil, ErrClosed
	}
}

// handOn passes a question on for another node, and the reply back to it.
func (s *Store) handOn(from string, d *decoder) ([]byte, error) {
	id, to := d.uvarint(), string(d.bytes(maxName))
	if d.bad || len(d.rest) == 0 || d.rest[0] != msgSync {
		return nil, errGarbled
	}
	if s.net.Alive(to) && s.net.Alive(from) {
		s.net.Go(to, d.rest, func(reply []byte, err error) {
			if err == nil {
				s.net.Go(from, append(binary.AppendUvarint([]byte{msgRelayed}, id), reply...), func([]byte, error) {})
			}
		})
	}
	return []byte{}, nil
}

// handedOn takes the reply to a question that another node has passed on.
func (s *Store) handedOn(d *decoder) ([]byte, error) {
	id := d.uvarint()
	if d.bad {
		return nil, errGarbled
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if answered := s.relays[id]; answered != nil {
		delete(s.relays, id)
		answered <- slices.Clone(d.rest)
	}
	return []byte{}, nil
}
