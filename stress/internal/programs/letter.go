package programs

import "fmt"

// Letter names those who act in a program, from 0: a to z, and then a1 to z1, and so on.
func Letter(i int) string {
	name := string(rune('a' + i%26))
	if i >= 26 {
		name += fmt.Sprint(i / 26)
	}
	return name
}
