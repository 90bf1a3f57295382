// Package outside has two pools and a router as others write them: over
// a channel, with a list of requests as database/sql has it, and over a map.
package outside
