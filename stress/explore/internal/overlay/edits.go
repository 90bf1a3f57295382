package overlay

import "fmt"

// An edit changes one place of a file of GOROOT/src.
type edit struct {
	file   string
	anchor string // must occur exactly once
	where  where
	text   string
}

// where is where the text of an edit goes.
type where int

const (
	after where = iota
	before
	instead
)

// Kinds of points, as the runtime's file numbers them.
const (
	kindLock     = 6
	kindTryLock  = 7
	kindUnlock   = 8
	kindRLock    = 9
	kindRUnlock  = 10
	kindAdd      = 11
	kindWait     = 12
	kindCondWait = 13
	kindCondWake = 14
	kindLoad     = 15
	kindStore    = 16
)

// declaration gives a package a point, which the runtime defines.
const declaration = "\n//go:linkname runtime_explorePoint\nfunc runtime_explorePoint(kind uint8, addr uintptr)\n"

// point is the statement for one, before an operation on what receiver points to.
func point(kind int, receiver string) string {
	return fmt.Sprintf("runtime_explorePoint(%d, uintptr(unsafe.Pointer(%s)))", kind, receiver)
}

// entry puts a statement at the beginning of a function, whose first line is given.
func entry(file, function, statement string) edit {
	return edit{file, function + " {\n", after, "\t" + statement + "\n"}
}

func edits() []edit {
	all := scheduler()
	all = append(all, channels()...)
	all = append(all, clock()...)
	all = append(all, ends()...)
	return append(all, locks()...)
}

// scheduler has what becomes runnable enter the queue of the region, and leave it
// as a strategy says.
func scheduler() []edit {
	const proc = "runtime/proc.go"
	return []edit{
		{"runtime/runtime2.go", "\tbubble  *synctestBubble\n", after, "\texplore exploreG\n"},
		entry(proc, "func runqput(pp *p, gp *g, next bool)", "if explorePut(gp) {\n\t\treturn\n\t}"),
		{proc, "func globrunqput(gp *g) {\n\tassertLockHeld(&sched.lock)\n", after,
			"\tif explorePut(gp) {\n\t\treturn\n\t}\n"},
		entry(proc, "func gopreempt_m(gp *g)", "exploreKeep(gp)"),
		{proc, "\t// Poll network.\n\t// This netpoll is only an optimization before we resort to stealing.\n", before,
			"\tif gp := explorePick(); gp != nil {\n\t\treturn gp, false, false\n\t}\n\n"},
		{proc, "\t// return P and block\n\tlock(&sched.lock)\n", after,
			"\tif exploreReady() {\n\t\tunlock(&sched.lock)\n\t\tgoto top\n\t}\n"},
		{proc, "\t\tnewg.bubble = callergp.bubble\n", after, "\t\texploreNewg(newg, callergp)\n"},
		{proc, "\t\trunqput(pp, newg, true)\n\n\t\tif mainStarted {\n\t\t\twakep()\n\t\t}\n\t})\n", after,
			"\texplorePoint(exploreGo, 0)\n"},
		entry(proc, "func Gosched()", "explorePoint(exploreGosched, 0)"),
		// A lock of the region is let go by the region alone: to wait for it is durable.
		{"runtime/synctest.go", "\tcase _Gwaiting:\n\t\tif gp.waitreason.isIdleInSynctest() {\n\t\t\twasRunning = false\n",
			instead, "\tcase _Gwaiting:\n\t\tif exploreIdle(gp) {\n\t\t\twasRunning = false\n"},
		{"runtime/synctest.go", "\tcase _Gwaiting:\n\t\tif gp.waitreason.isIdleInSynctest() {\n\t\t\tisRunning = false\n",
			instead, "\tcase _Gwaiting:\n\t\tif exploreIdle(gp) {\n\t\t\tisRunning = false\n"},
		{"runtime/sema.go", "\t\tgoparkunlock(&root.lock, reason, traceBlockSync, 4+skipframes)\n", before,
			"\t\tgp.explore.durable = exploreDurable(gp, reason)\n"},
		{"runtime/sema.go", "\t\tgoparkunlock(&root.lock, reason, traceBlockSync, 4+skipframes)\n", after,
			"\t\tgp.explore.durable = false\n"},
	}
}

func channels() []edit {
	const file = "runtime/chan.go"
	at := func(kind string) string { return "explorePoint(" + kind + ", uintptr(unsafe.Pointer(c)))" }
	return []edit{
		entry(file, "func chansend(c *hchan, ep unsafe.Pointer, block bool, callerpc uintptr) bool", at("exploreSend")),
		entry(file, "func chanrecv(c *hchan, ep unsafe.Pointer, block bool) (selected, received bool)", at("exploreReceive")),
		entry(file, "func closechan(c *hchan)", at("exploreClose")),
		{"runtime/select.go", "nsends, nrecvs int, block bool) (int, bool) {\n", after, "\texplorePoint(exploreSelect, 0)\n"},
		{"runtime/select.go", "cheaprandn(uint32(norder + 1))", instead, "exploreRandn(uint32(norder + 1))"},
	}
}

// clock has timers, clocks and random numbers of the region depend on its seed alone.
func clock() []edit {
	const file = "runtime/time.go"
	return []edit{
		{file, "type timer struct {\n", after, "\texploreID uint64\n"},
		{file, "\tt.timer.init(nil, nil)\n", after, "\texploreNewTimer(&t.timer)\n"},
		{file, "\t\t\tt.rand = cheaprand()\n", instead, "\t\t\tt.rand = exploreTimerRand(t)\n"},
		entry(file, "func stopTimer(t *timeTimer) bool", "explorePoint(exploreTimer, uintptr(unsafe.Pointer(t)))"),
		entry(file, "func resetTimer(t *timeTimer, when, period int64) bool",
			"explorePoint(exploreTimer, uintptr(unsafe.Pointer(t)))"),
		entry("runtime/sema.go", "func internal_sync_nanotime() int64",
			"if gp := getg(); gp.bubble != nil {\n\t\treturn gp.bubble.now\n\t}"),
		{"runtime/rand.go", "\tseed := &globalRand.seed\n", after, "\tstartupRand = exploreSeed[:]\n"},
		entry("runtime/rand.go", "func rand() uint64", "if exploreMine(getg()) {\n\t\treturn exploreRand()\n\t}"),
	}
}

// ends has an error end the schedule, and not the process.
func ends() []edit {
	const file = "runtime/panic.go"
	return []edit{
		{file, "\tpreprintpanics(&p)\n\n\tfatalpanic(&p)", before, "\texplorePanic(&p)\n"},
		entry(file, "func sync_fatal(s string)", "exploreFatalError(s)"),
		entry(file, "func maps_fatal(s string)", "exploreFatalError(s)"),
		entry(file, "func internal_sync_fatal(s string)", "exploreFatalError(s)"),
	}
}

func locks() []edit {
	const pointers = "runtime/atomic_pointer.go"
	store := "explorePoint(exploreStore, uintptr(unsafe.Pointer(ptr)))"
	return []edit{
		entry(pointers, "func sync_atomic_StorePointer(ptr *unsafe.Pointer, new unsafe.Pointer)", store),
		entry(pointers, "func sync_atomic_SwapPointer(ptr *unsafe.Pointer, new unsafe.Pointer) unsafe.Pointer", store),
		entry(pointers, "func sync_atomic_CompareAndSwapPointer(ptr *unsafe.Pointer, old, new unsafe.Pointer) bool", store),
		{"internal/sync/runtime.go", "import _ \"unsafe\"\n", instead,
			"import \"unsafe\"\n" + declaration + "\nvar _ unsafe.Pointer\n"},
		entry("internal/sync/mutex.go", "func (m *Mutex) Lock()", point(kindLock, "m")),
		entry("internal/sync/mutex.go", "func (m *Mutex) TryLock() bool", point(kindTryLock, "m")),
		{"internal/sync/mutex.go", "\t\tm.unlockSlow(new)\n\t}\n", after, "\t" + point(kindUnlock, "m") + "\n"},
		{"sync/runtime.go", "import \"unsafe\"\n", after, declaration},
		entry("sync/rwmutex.go", "func (rw *RWMutex) RLock()", point(kindRLock, "rw")),
		entry("sync/rwmutex.go", "func (rw *RWMutex) TryRLock() bool", point(kindRLock, "rw")),
		entry("sync/rwmutex.go", "func (rw *RWMutex) RUnlock()", point(kindRUnlock, "rw")),
		entry("sync/rwmutex.go", "func (rw *RWMutex) Lock()", point(kindLock, "rw")),
		entry("sync/rwmutex.go", "func (rw *RWMutex) TryLock() bool", point(kindTryLock, "rw")),
		entry("sync/waitgroup.go", "func (wg *WaitGroup) Add(delta int)", point(kindAdd, "wg")),
		entry("sync/waitgroup.go", "func (wg *WaitGroup) Wait()", point(kindWait, "wg")),
		entry("sync/cond.go", "func (c *Cond) Wait()", point(kindCondWait, "c")),
		entry("sync/cond.go", "func (c *Cond) Signal()", point(kindCondWake, "c")),
		entry("sync/cond.go", "func (c *Cond) Broadcast()", point(kindCondWake, "c")),
	}
}
