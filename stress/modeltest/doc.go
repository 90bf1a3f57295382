// Package modeltest tests a concurrent type against a sequential model of it. You
// provide the operations and what each must return. The package generates programs,
// which are sequences of operations on several goroutines, and runs them under the
// schedules of package explore. If no order of the operations of a program explains
// their results, the package shrinks the program and reports it.
//
//	func TestCounter(t *testing.T) {
//		modeltest.TestModel(t, modeltest.Spec[*Counter]{
//			New:  func(testing.TB) *Counter { return new(Counter) },
//			Init: 0,
//			Ops: []modeltest.Op[*Counter]{
//				modeltest.Returns("Add", modeltest.Below(3), (*Counter).Add,
//					func(sum, n int) (int, int) { return sum + n, sum + n }),
//			},
//		})
//	}
//
// A model is a function from a state and arguments to the next state and a result. It must
// not change the state that it is given: return a new slice, or use maps.Clone. If more
// than one result is right, [Accepts] takes a model that says whether a result is.
//
// # Programs
//
// A program has a few operations that run first, 2 to 5 goroutines with up to 10
// operations each, and a few operations that run last. It is drawn from
// [explore.Run.Draw]. The seed of a schedule is therefore also the seed of its program,
// and shrinking a schedule shrinks its program: drawing 0 removes an operation or
// simplifies an argument. Short programs come first. There are few of them, so each runs
// under many schedules.
//
// pgregory.net/rapid also provides generators and shrinks what they made. It is not used
// here, because it runs a property repeatedly by itself, and calls a property flaky if it
// does not fail each time. Here a failure needs a program and a schedule, and both must be
// shrunk together.
//
// # Judgement
//
// The order of the calls and returns of all operations is recorded. [Linearizable] requires
// an order in which each operation lies between its call and its return (Herlihy and Wing,
// 1990). Weaker promises allow more orders. The search (Wing and Gong, 1993, with the cache
// of Lowe, 2017) uses no goroutine of its own, because it runs within the schedule. For
// long histories of one type, see package [tensile/stress/modeltest/monitor].
package modeltest
