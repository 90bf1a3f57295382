package report

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// artifacts is the folder in which the pictures of the pages are kept, if CI
// names one.
const artifacts = "TENSILE_ARTIFACTS"

// browserBound is how long a browser may take to show a page: longer than any
// does, so that one that hangs fails with a message.
const browserBound = 2 * time.Minute

// browser is the name of a Chromium, or skips the test.
func browser(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("a browser is started several times")
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "chrome", "headless-shell"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Skip("no Chromium is in the PATH: nobody looks at report.html in a browser. On Debian: apt-get install chromium")
	return ""
}

// looked is what testdata/probe.js tells of a page.
type looked struct {
	Errors                            []string
	Dark                              bool
	Background                        string
	Width, Overflow                   int
	Outside, Undrawn, Touching, Faint []string
	Charts, Texts                     int
	Smallest                          float64
	Tableless, Nameless, Unreachable  []string
	Twice, DeadLinks, Fetched, Cut    []string
	console                           []string // by the log of the browser
	picture                           []byte
}

// window is how a page is looked at.
type window struct {
	name          string
	width, height int
	dark          bool
}

// look shows a page in a browser, and asks what there is to see.
func look(t *testing.T, browser, page string, w window) (l looked) {
	t.Helper()
	l.console, l.picture = show(t, browser, page, "testdata/probe.js", w, &l)
	return l
}

// show has a script look at a page in a browser, and decodes what it tells into told. The
// page is in a frame, which may be as narrow as a phone where the window of a browser may
// not. The policy of the page is in force: it is made to allow that script too.
func show(t *testing.T, browser, page, script string, w window, told any) (console []string, picture []byte) {
	t.Helper()
	dir, err := os.MkdirTemp("", "browser")
	require.NoError(t, err)
	defer func() { assert.NoError(t, removeAll(dir)) }()
	probe, err := os.ReadFile(script)
	require.NoError(t, err)
	sum := sha256.Sum256(probe)
	allowed := "script-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "' "
	meta := regexp.MustCompile(`<meta http-equiv="Content-Security-Policy"[^>]*>`).FindString(page)
	require.NotEmpty(t, meta)
	page = strings.Replace(page, meta,
		strings.Replace(meta, "script-src ", allowed, 1)+"<script>"+string(probe)+"</script>", 1)
	frame := fmt.Sprintf(`<!doctype html><body style="margin:0">
<iframe src="page.html" style="border:0;display:block;width:%dpx;height:%dpx"></iframe>
<pre id="told" hidden></pre>
<script>
addEventListener("message", (e) => { document.getElementById("told").textContent = e.data })
</script>`, w.width, w.height)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "page.html"), []byte(page), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "frame.html"), []byte(frame), 0o644))

	ctx, cancel := context.WithTimeout(t.Context(), browserBound)
	defer cancel()
	shot := filepath.Join(dir, "picture.png")
	args := []string{"--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--hide-scrollbars", "--enable-logging=stderr",
		"--user-data-dir=" + filepath.Join(dir, "profile"), fmt.Sprintf("--window-size=%d,%d", max(w.width, 500), w.height),
		"--virtual-time-budget=5000", "--dump-dom", "--screenshot=" + shot}
	if w.dark {
		args = append(args, "--force-dark-mode", "--blink-settings=preferredColorScheme=0")
	}
	cmd := exec.CommandContext(ctx, browser, append(args, "file://"+filepath.Join(dir, "frame.html"))...)
	var dom, log bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &dom, &log, 5*time.Second
	require.NoError(t, cmd.Run(), log.String())

	said := regexp.MustCompile(`(?s)<pre id="told"[^>]*>(.*?)</pre>`).FindStringSubmatch(dom.String())
	require.NotNil(t, said, dom.String())
	require.NoError(t, json.Unmarshal([]byte(html.UnescapeString(said[1])), told), "%s\n%s", said[1], log.String())
	for line := range strings.Lines(log.String()) {
		if strings.Contains(line, "CONSOLE") {
			console = append(console, line)
		}
	}
	picture, err = os.ReadFile(shot)
	require.NoError(t, err)
	return console, picture
}

// removeAll removes the folder of a browser whose last processes may still be
// about to end.
func removeAll(dir string) (err error) {
	for range 100 {
		if err = os.RemoveAll(dir); err == nil {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

// faults are the sentences of all that is wrong with a page.
func (l looked) faults() []string {
	var all []string
	add := func(what string, which []string) {
		for _, w := range which {
			all = append(all, what+": "+w)
		}
	}
	add("error", l.Errors)
	add("console", l.console)
	add("outside the page", l.Outside)
	add("nothing drawn", l.Undrawn)
	add("text in a chart", l.Touching)
	add("too little contrast", l.Faint)
	add("chart without a table", l.Tableless)
	add("without a name", l.Nameless)
	add("out of reach of the keyboard", l.Unreachable)
	add("cut off", l.Cut)
	add("id twice", l.Twice)
	add("dead link", l.DeadLinks)
	add("fetched", l.Fetched)
	if l.Overflow > 0 {
		all = append(all, fmt.Sprintf("%d pixels wide in a window of %d", l.Overflow, l.Width))
	}
	if l.Charts > 0 && l.Smallest < 9 {
		all = append(all, fmt.Sprintf("text of %.1f pixels in a chart", l.Smallest))
	}
	return all
}

// TestPageInABrowser shows the page as a person sees it, in a real one.
func TestPageInABrowser(t *testing.T) {
	browser := browser(t)
	var page strings.Builder
	require.NoError(t, writePage(&page, sampleRun()))
	for _, w := range []window{
		{"light", 1280, 2400, false}, {"dark", 1280, 2400, true}, {"phone", 360, 2400, false},
		{"phone-dark", 360, 2400, true},
	} {
		t.Run(w.name, func(t *testing.T) {
			l := look(t, browser, page.String(), w)
			assert.Empty(t, l.faults())
			assert.Equal(t, w.width, l.Width)
			assert.Equal(t, w.dark, l.Dark)
			assert.NotEqual(t, w.dark, l.Background == "rgb(244, 245, 247)", "colours follow what the reader prefers")
			assert.Equal(t, strings.Count(page.String(), `<svg class="drawing`), l.Charts)
			assert.Greater(t, l.Charts, 15)
			assert.Greater(t, l.Texts, 300)
			picture, err := png.Decode(bytes.NewReader(l.picture))
			require.NoError(t, err)
			colours := make(map[[3]uint32]int)
			for y := range picture.Bounds().Dy() {
				for x := range w.width {
					r, g, b, _ := picture.At(x, y).RGBA()
					colours[[3]uint32{r, g, b}]++
				}
			}
			assert.Greater(t, len(colours), 50, "colours in the picture")
			if folder := os.Getenv(artifacts); folder != "" {
				require.NoError(t, os.MkdirAll(folder, 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(folder, "report-"+w.name+".png"), l.picture, 0o644))
			}
		})
	}
}

// TestReaderInABrowser does what a reader does with the page.
func TestReaderInABrowser(t *testing.T) {
	browser := browser(t)
	var page strings.Builder
	require.NoError(t, writePage(&page, sampleRun()))
	for _, w := range []window{{"desktop", 1280, 2400, false}, {"phone", 360, 2400, false}} {
		t.Run(w.name, func(t *testing.T) {
			var told struct {
				Error, Tip, Same, Closer, Count             string
				Before, Mates, Others, Last, Left           bool
				Frame, Ticks, Whole, First, Second, Blurred bool
				Off, On, Filter, Failed                     bool
				Wide                                        float64
				Found                                       []string
			}
			console, _ := show(t, browser, page.String(), "testdata/reader.js", w, &told)
			assert.Empty(t, console)
			require.Empty(t, told.Error)
			assert.True(t, told.Before, "nothing is pointed at yet")
			assert.Regexp(t, `^[\d.]+ ms: ended .+`, told.Tip)
			assert.True(t, told.Mates, "the charts of a scenario over the same axis share a crosshair")
			assert.False(t, told.Others, "those of another scenario do not")
			assert.True(t, told.Last, "the last value is at the right edge")
			assert.True(t, told.Left, "it goes with the pointer")
			assert.True(t, told.Frame, "what will be shown is framed")
			assert.Regexp(t, `^matrix\((5|4\.99|5\.00)[\d.]* 0 0 1 `, told.Closer, "a fifth of the axis fills it")
			assert.Greater(t, told.Wide, 3.0)
			assert.True(t, told.Ticks, "the axis has other labels")
			assert.Equal(t, told.Tip, told.Same)
			assert.True(t, told.Whole, "a double click shows all again")
			assert.True(t, told.First, "the arrow keys go through the values")
			assert.True(t, told.Second)
			assert.True(t, told.Blurred)
			assert.True(t, told.Off, "a line is hidden by its entry in the legend")
			assert.True(t, told.On)
			assert.True(t, told.Filter)
			assert.Equal(t, []string{"routing.lost"}, told.Found)
			assert.Regexp(t, `^1 of \d+$`, told.Count)
			assert.True(t, told.Failed, "those with a verdict")
		})
	}
}

// TestBrowserSeesWhatIsWrong plants faults in the page, each of which must be
// named.
func TestBrowserSeesWhatIsWrong(t *testing.T) {
	browser := browser(t)
	var text strings.Builder
	require.NoError(t, writePage(&text, sampleRun()))
	noPoints := regexp.MustCompile(`(<path class="line s\d" data-series="\d" d=")[^"]*`)
	replace := func(old, new string) func(string) string {
		return func(page string) string {
			require.Contains(t, page, old)
			return strings.Replace(page, old, new, 1)
		}
	}
	add := func(text string) func(string) string {
		return func(page string) string { return page + text }
	}
	type plant struct {
		change func(string) string
		says   string
	}
	for name, plants := range map[string][]plant{
		"what the policy forbids": {
			{add("<script>nothing.there()</script>"), "error: blocked: script-src-elem"},
			{add(`<img src="missing.png" alt="">`), "error: blocked: img-src"},
		},
		"scripts and pictures": {
			{func(page string) string {
				return strings.Replace(page, html.EscapeString("default-src 'none'; "), "", 1)
			}, ""},
			{func(page string) string {
				return strings.Replace(page, "script-src ", "script-src 'unsafe-inline' ", 1)
			}, ""},
			{add(`<img src="missing.png" alt="">`), "error: [object HTMLImageElement]"},
			{func(page string) string { // as if the script itself were wrong
				wrong := strings.Replace(pageScript, `"use strict";`, `nothing.there();`, 1)
				sum := sha256.Sum256([]byte(wrong))
				hash := "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
				page = strings.Replace(page, `"use strict";`, `nothing.there();`, 1)
				return strings.Replace(page, "script-src ", "script-src '"+hash+"' ", 1)
			}, "error: Uncaught ReferenceError"},
			{func(page string) string { return page }, "ReferenceError: nothing is not defined"},
		},
		"layout": {
			{add(`<p style="width:700px">x</p>`), "pixels wide in a window of 360"},
			{replace(`<p class="sentence">`, `<p style="color:#999">`), "too little contrast: <p"},
			{
				replace(`<text class="tick"`,
					`<text class="tick" x="9" y="9">0</text><text class="tick" x="9" y="9">0</text><text class="tick"`), "touches",
			},
			{add(`<p id="nine">x</p>`), "id twice: nine"},
			{add(`<a href="#nowhere">x</a>`), "dead link: #nowhere"},
		},
		"charts": {
			{func(page string) string { return noPoints.ReplaceAllString(page, "$1") }, "nothing drawn: "},
			{replace(`<details class="table">`, `<div hidden>`), "chart without a table: "},
			{replace(`role="img" aria-labelledby="`, `role="img" aria-labelledby="no`), "without a name: "},
			{
				replace(`tabindex="0" role="region" aria-labelledby="nine"`, `role="region" aria-labelledby="nine"`),
				"out of reach of the keyboard: ",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			page := text.String()
			for _, p := range plants {
				page = p.change(page)
			}
			faults := look(t, browser, page, window{"phone", 360, 900, false}).faults()
			for _, p := range plants {
				assert.True(t, slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, p.says) }),
					"%q is not among %q", p.says, faults)
			}
		})
	}
}
