// Package modeltest tests a concurrent type against a sequential model of it: bring
// the operations and what each must return, and it makes programs of them, runs
// them under the schedules of package explore, and reports the smallest program
// whose results no order of its operations explains.
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
// A model is a function from a state and arguments to the next state and a result.
// It must not change the state that it is given: return another slice, or
// maps.Clone. Where more than one result is right, [Accepts] takes a model that
// says whether a result is.
//
// # Programs
//
// A program has a few operations that are done first, 2 to 5 goroutines with up to
// 10 operations each, and a few operations that are done last. It comes from
// [explore.Run.Draw], so that the seed of a schedule is the seed of its program
// too, and whatever shrinks a schedule shrinks its program: an operation is taken
// away, and an argument made simple, by drawing 0. Short programs come first; as
// there are few of them, each recurs under many schedules.
//
// pgregory.net/rapid would give generators as well, and shrinks what they made. It
// is not used, because it wants to run a property again and again by itself, and
// calls one flaky that does not fail each time; here a failure takes a program and
// a schedule, and both must be shrunk together.
//
// # Judgement
//
// Each operation is noted with the order of its call and its return. [Linearizable]
// asks for an order in which each operation lies between the two (Herlihy and Wing,
// 1990); weaker promises leave more orders open. The search (Wing and Gong, 1993,
// with the memory of Lowe, 2017) takes no goroutine of its own, since it runs within
// the schedule. For long histories of one type, see package
// [tensile/stress/modeltest/monitor].
package modeltest
