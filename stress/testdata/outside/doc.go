// Package outside has two pools and a router as others write them: over
// database/sql, over a channel, over a map.
package outside
