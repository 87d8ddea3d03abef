package receive

import (
	"slices"

	"github.com/siteprobe/siteprobe/collectors"
)

// Several stands for a label's value where messages that are told together differ in it.
const Several = "several"

// blend makes the event that is to come tell of one more message, where that says
// something else: nothing that only one of them said is told of all.
func (w *window) blend(more *collectors.Event) {
	e := &w.event
	e.Severity = max(e.Severity, more.Severity)
	if e.Text != more.Text && !w.mixed {
		w.mixed = true
		e.Text = collectors.Clip("several, such as: "+e.Text, collectors.MaxText)
	}
	e.Labels = slices.DeleteFunc(e.Labels, func(l collectors.Label) bool {
		return !slices.ContainsFunc(more.Labels, func(o collectors.Label) bool { return o.Name == l.Name })
	})
	for i := range e.Labels {
		l := &e.Labels[i]
		if !slices.Contains(more.Labels, *l) {
			l.Value = Several
		}
	}
}
