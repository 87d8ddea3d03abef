package diagnosis

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
)

func TestFactsAsJSON(t *testing.T) {
	want := []Fact{NewFact(AnchorICMP, "Quad9", 4, Fails, "no reply").With("lost", 3), NewFact(LinkCarrier, "eth0", 0, Works, "")}
	b, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeFacts(b); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%s came back as %+v (%v)", b, got, err)
	}
}

func TestFactsThatAreNone(t *testing.T) {
	good := NewFact(AnchorICMP, "a", 4, Works, "")
	for name, change := range map[string]func(*Fact){
		"name":    func(f *Fact) { f.Name = "whatever" },
		"stage":   func(f *Fact) { f.Stage = StageSelf },
		"family":  func(f *Fact) { f.Family = 5 },
		"result":  func(f *Fact) { f.Result = "fine" },
		"took":    func(f *Fact) { f.TookMS = -1 },
		"target":  func(f *Fact) { f.Target = strings.Repeat("x", 200) },
		"escapes": func(f *Fact) { f.Detail = "\x1b[2J" },
		"key":     func(f *Fact) { *f = f.With("A B", 1) },
		"number":  func(f *Fact) { *f = f.With("n", math.NaN()) },
	} {
		f := good
		change(&f)
		if f.Validate() == nil {
			t.Errorf("%s: %+v is taken for a fact", name, f)
		}
	}
	many := make([]Fact, MaxFacts+1)
	for i := range many {
		many[i] = good
	}
	b, _ := json.Marshal(many)
	for _, text := range []string{string(b), "[1]", "null,", `[{"name":"x"}]`} {
		if _, err := DecodeFacts([]byte(text)); err == nil {
			t.Errorf("%.40s is taken for facts", text)
		}
	}
}

func TestNamesHaveStages(t *testing.T) {
	for name := range stageOf {
		if err := NewFact(name, "", 0, Works, "").Validate(); err != nil {
			t.Error(err)
		}
	}
	if Stage(-1).String() != "unknown" || StagePower.String() != "power" || int(StagePower) != 13 {
		t.Error("the stages' numbers are part of evidence")
	}
}
