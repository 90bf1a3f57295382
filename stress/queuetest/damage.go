package queuetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"tensile/stress/internal/payload"
	"tensile/stress/internal/scenario"
	"tensile/stress/validate"
)

const (
	damageMessages = 24
	damageAtBase   = 240 // trials
	leastDamage    = 24
)

// logImage is a log as a killed broker left it, of which spoiled copies are
// made.
type logImage struct {
	files []logFile
	used  int // bytes of all files
}

// logFile is one file: its content up to the last byte that is not zero, and
// where in it the bodies of messages begin.
type logFile struct {
	name   string
	data   []byte
	size   int64
	bodies [damageMessages]int // -1 for those that are elsewhere
}

// readImage reads the files in dir.
func readImage(dir string) (logImage, error) {
	var image logImage
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		f := logFile{name: path, size: int64(len(data)), data: slices.Clone(bytes.TrimRight(data, "\x00"))}
		for id := range f.bodies {
			f.bodies[id] = bytes.Index(f.data, payload.Body(uint64(id)))
		}
		image.files = append(image.files, f)
		image.used += len(f.data)
		return nil
	})
	return image, err
}

// injury is what is done to one file.
type injury struct {
	what   string // "cut", "torn" or "a bit flipped"
	file   int
	offset int
}

// nearMessage is how far before the body of a message damage may still concern it: there
// a log has its length, its checksum and the like.
const nearMessage = 32

// draw returns one of the injuries there are. Half of them are at a message, as a log may
// have much room between its messages; for the others each byte is as likely as any other.
func (image logImage) draw(random *rand.Rand) injury {
	fault := injury{what: []string{injuryCut, injuryTorn, injuryFlip, injuryFlip}[random.IntN(4)]}
	at := random.IntN(image.used)
	for fault.file = range image.files {
		if n := len(image.files[fault.file].data); at >= n {
			at -= n
			continue
		}
		fault.offset = at
		break
	}
	f := &image.files[fault.file]
	id, shift := random.IntN(damageMessages), random.IntN(nearMessage+len(payload.Body(0)))
	if at := f.bodies[id]; at >= 0 && random.IntN(2) == 0 {
		fault.offset = max(at-nearMessage+shift, 0)
	}
	return fault
}

const (
	injuryCut  = "cut"           // the file ends there
	injuryTorn = "torn"          // zeros from there on, as where a write into allocated space was cut short
	injuryFlip = "a bit flipped" // one bit of the byte
)

// write writes the image into dir, with an injury.
func (image logImage) write(dir string, fault injury) error {
	for i, f := range image.files {
		path := filepath.Join(dir, f.name)
		data, size := f.data, f.size
		if i == fault.file {
			data = slices.Clone(data)
			switch fault.what {
			case injuryCut:
				data, size = data[:fault.offset], int64(fault.offset)
			case injuryTorn:
				data = data[:fault.offset]
			case injuryFlip:
				data[fault.offset] ^= 1 << (fault.offset % 8)
			}
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644),
			os.Truncate(path, size)); err != nil {
			return err
		}
	}
	return nil
}

// damage spoils copies of a small log at random places: what is readable comes,
// in order, and what is not is told.
func (k *kit) damage(ctx context.Context, t *testing.T) {
	image, err := k.smallLog(ctx, filepath.Join(t.TempDir(), "queues"))
	if err != nil {
		k.Violate("torn", "%v", err)
		return
	}
	random := rand.New(rand.NewPCG(k.Seed, 2))
	trials := max(damageAtBase*min(k.N, validate.BaseScale)/validate.BaseScale, leastDamage)
	reports, told, tried := true, 0, 0
	work := t.TempDir()
	// A slow machine tries as many as it can in the time there is.
	for began := time.Now(); tried < trials && time.Since(began) < scenario.PhaseBound/2 && !k.Failed(); tried++ {
		dir := filepath.Join(work, fmt.Sprint(tried))
		fault := image.draw(random)
		if err := image.write(dir, fault); err != nil {
			k.Fault("%v", err)
			return
		}
		b, gaps := k.spoiled(ctx, t, dir, image, fault)
		if _, ok := b.(Recovering); b != nil && !ok {
			reports = false
		}
		if len(gaps) > 0 {
			told++
		}
		if err := os.RemoveAll(dir); err != nil {
			k.Fault("%v", err)
			return
		}
	}
	k.Note("A log of %d bytes was cut, torn or had a bit flipped at %d random places; the broker reported %d.",
		image.used, tried, told)
	if !reports && !k.Failed() {
		k.NotOffered("torn", "the subject does not report what it could not read; nothing readable was lost")
		return
	}
}

// smallLog has a broker take some messages, one after the other, and kills it.
func (k *kit) smallLog(ctx context.Context, dir string) (logImage, error) {
	l := k.newLives("damage", dir, 1, "torn")
	defer l.abandon()
	if _, err := l.open(ctx); err != nil {
		return logImage{}, err
	}
	q := l.queues[0]
	for range damageMessages {
		if n, why, err := l.publish(ctx, q, 1, q.draw(100)); err != nil || n == 0 {
			return logImage{}, errors.Join(err, fmt.Errorf("%w: Publish returned %s", errBroker, why))
		}
	}
	if err := l.kill(); err != nil {
		return logImage{}, err
	}
	image, err := readImage(dir)
	if err == nil && image.used == 0 {
		err = fmt.Errorf("%w: there is no file in its folder after %d messages were confirmed", errBroker, damageMessages)
	}
	return image, err
}

// spoiled opens a log with an injury, fetches what is in it and judges that.
func (k *kit) spoiled(ctx context.Context, t *testing.T, dir string, image logImage, fault injury) (Broker, []Gap) {
	f := &image.files[fault.file]
	where := fmt.Sprintf("%s %s at offset %d", f.name, fault.what, fault.offset)
	b, said := k.tryOpen(t, Config{Queues: 1, Visibility: longVisibility, Dir: dir})
	if b == nil {
		k.Violate("torn", "%s: the broker does not open: %s", where, said)
		return nil, nil
	}
	defer k.close(b)
	left, ok := k.whatIsLeft(ctx, b, where)
	if !ok {
		return b, nil
	}
	var lost []int
	for id := range damageMessages {
		if !slices.Contains(left, id) {
			lost = append(lost, id)
		}
	}
	for _, id := range lost {
		if !f.mayLose(id, fault) {
			k.Violate("torn", "%s: message %d is lost, although it is readable", where, id)
			return b, nil
		}
	}
	if fault.what == injuryFlip && len(lost) > 1 {
		k.Violate("torn", "%s: one flipped bit lost messages %v", where, lost)
	}
	r, ok := b.(Recovering)
	if !ok {
		return b, nil
	}
	tornGaps, damaged := r.Recovered()
	gaps := slices.Concat(tornGaps, damaged)
	names := func(g Gap) bool {
		return filepath.Base(g.File) == filepath.Base(f.name) && g.Offset <= int64(fault.offset)
	}
	if len(lost) > 0 && f.mustTell(fault) && !slices.ContainsFunc(gaps, names) {
		k.Violate("torn", "%s: messages %v are lost and the broker does not report that place: it reports %v",
			where, lost, gaps)
	}
	return b, gaps
}

// mayLose tells whether an injury can have made a message unreadable: not if
// the next one begins before it, and where one bit was flipped not if the message
// begins behind the next.
func (f *logFile) mayLose(id int, fault injury) bool {
	if f.bodies[id] < 0 {
		return true // it is not there as it was sent
	}
	if id+1 < damageMessages && f.bodies[id+1] >= 0 && f.bodies[id+1] <= fault.offset && f.bodies[id+1] > f.bodies[id] {
		return false
	}
	return fault.what != injuryFlip || id == 0 || f.bodies[id-1] < 0 || f.bodies[id-1] <= fault.offset ||
		f.bodies[id-1] > f.bodies[id]
}

// mustTell tells whether what is left of the file shows that something is
// missing: always where a bit was flipped, and where a cut goes through a message.
func (f *logFile) mustTell(fault injury) bool {
	return fault.what == injuryFlip || slices.ContainsFunc(f.bodies[:], func(at int) bool {
		return at >= 0 && at < fault.offset && fault.offset < at+len(payload.Body(0))
	})
}

// whatIsLeft receives all messages of a spoiled log. The log must work, too.
func (k *kit) whatIsLeft(ctx context.Context, b Broker, where string) (left []int, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, scenario.Settle)
	defer cancel()
	const end = damageMessages
	if err := b.Publish(ctx, 0, payload.Body(end)); err != nil {
		k.Violate("torn", "%s: Publish returned %v", where, err)
		return nil, false
	}
	for {
		d, err := b.Receive(ctx, 0)
		if err != nil {
			k.Violate("torn", "%s: Receive returned %v", where, err)
			return nil, false
		}
		m, intact := payload.ReadBody(d.Body())
		switch {
		case !intact || m.ID > end:
			k.Violate("torn", "%s: a message came that was never sent", where)
			return nil, false
		case len(left) > 0 && int(m.ID) <= left[len(left)-1]:
			k.Violate("torn", "%s: message %d came after message %d", where, m.ID, left[len(left)-1])
			return nil, false
		case m.ID == end:
			return left, true
		}
		left = append(left, int(m.ID))
	}
}
