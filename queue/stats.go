package queue

// Stats is a consistent picture of a queue at one instant.
type Stats struct {
	Ready      int // messages that the next Receive may give
	Delayed    int // refused with a delay that has not ended
	InFlight   int // delivered and not yet acknowledged or back
	Parked     int // dead letters that the dead-letter queue, or the disk, has no room for
	Receivers  int // callers waiting for messages
	Publishers int // callers waiting for room

	// Totals since Open.
	Published    uint64 // messages taken
	Refused      uint64 // messages turned away with ErrFull
	Delivered    uint64 // deliveries
	Redelivered  uint64 // those of them that were not the first of their message
	Acked        uint64 // messages acknowledged
	Nacked       uint64 // deliveries refused by their consumer
	Expired      uint64 // leases that ended by their time-out
	DeadLettered uint64 // messages given to the dead-letter queue
}

// Len is the number of messages held.
func (s Stats) Len() int { return s.Ready + s.Delayed + s.InFlight + s.Parked }

// Stats returns the numbers of this instant.
func (q *Queue) Stats() Stats {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.count
	s.Ready = q.held - s.InFlight - s.Delayed - s.Parked
	s.Receivers, s.Publishers = q.receivers.len, q.publishers.len
	return s
}
