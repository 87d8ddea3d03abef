package config

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// canary is the secret that stands in the wrong place in many files of the
// corpus. No message may hold it.
const canary = "canary-7f3a"

var update = flag.Bool("update", false, "write what the files of testdata/bad say now into their .want files; then read the diff")

// canaries is an environment in which the secret of the corpus can be found.
func canaries(name string) (string, bool) { return canary, name == "CANARY" }

// TestBad reads each file of testdata/bad and compares, to the letter, what is
// said about it with the .want file beside it.
func TestBad(t *testing.T) {
	files, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Loader{Getenv: canaries}.Parse(filepath.Base(file), data)
			if err == nil {
				t.Fatal("is accepted")
			}
			got := err.Error() + "\n"
			if strings.Contains(got, canary) {
				t.Errorf("says the secret:\n%s", got)
			}
			wantFile := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(wantFile, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(wantFile)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(string(want), got); d != "" {
				t.Errorf("-want +got\n%s", d)
			}
		})
	}
}

// TestGood reads each file of testdata/good and the example that ships.
func TestGood(t *testing.T) {
	files, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files (%v)", len(files), err)
	}
	for _, file := range append(files, "../../packaging/siteprobe.example.yaml") {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			site, err := Loader{WithoutSecrets: true}.Parse(file, data)
			if err != nil {
				t.Fatal(err)
			}
			if len(site.Warnings) > 0 {
				t.Errorf("warnings: %v", site.Warnings)
			}
		})
	}
}

// FuzzParse: whatever the file holds, the answer is a site or an *Error whose
// problems have a place.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml", "../../packaging/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		slow := time.AfterFunc(10*time.Second, func() { panic("takes too long") })
		defer slow.Stop()
		site, err := Loader{Getenv: canaries, WithoutSecrets: true}.Parse("site.yaml", data)
		if err == nil {
			if len(site.Hash()) != 64 {
				t.Errorf("hash %q", site.Hash())
			}
			return
		}
		e, ok := err.(*Error)
		if !ok || len(e.Problems) == 0 || len(e.Problems) > MaxProblems {
			t.Fatalf("error %T: %v", err, err)
		}
		for _, p := range e.Problems {
			if p.File != "site.yaml" || p.Line < 0 || p.Line > 1+strings.Count(string(data), "\n")+strings.Count(string(data), "\r") {
				t.Errorf("problem at %q:%d: %s", p.File, p.Line, p.Message)
			}
		}
	})
}
