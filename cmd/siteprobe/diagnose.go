package main

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors"
	"github.com/siteprobe/siteprobe/collectors/diagnosis"
	"github.com/siteprobe/siteprobe/collectors/statefile"
	"github.com/siteprobe/siteprobe/provisioning/config"
)

// diagnosed is what `diagnose --json` prints. Scripts rely on its keys.
type diagnosed struct {
	diagnosis.Verdict
	Since  *string          `json:"since"` // RFC 3339; null: the daemon does not run, or says otherwise
	Stages []diagnosedStage `json:"stages"`
	Facts  []diagnosis.Fact `json:"facts"`
}

type diagnosedStage struct {
	Name   string `json:"name"`
	OK     *bool  `json:"ok"` // null: it was not looked at, or nothing could be seen
	Detail string `json:"detail"`
	TookMS int64  `json:"took_ms"`

	skipped bool // on purpose
}

func diagnoseCommand(path *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "diagnose", Short: "Find out what is broken between this site and the MSP, and whose it is", Args: cobra.NoArgs,
		Long: "Find out what is broken between this site and the MSP, and whose it is. Each stage is shown as it finishes; the verdict\n" +
			"comes last, in at most 20 seconds. It works with and without the daemon, which knows more: whether the MSP is connected,\n" +
			"and since when something is broken. Some stages (ARP, DHCP) need root, or say that they do not know.\n\n" +
			"Whom it contacts stands under diagnosis in the site file. It exits with 1 when something is broken.",
		RunE: func(c *cobra.Command, _ []string) error {
			site, err := load(config.Loader{}, *path)
			if err != nil {
				if site, err = load(config.Loader{WithoutSecrets: true}, *path); err != nil {
					return err
				}
			}
			d := diagnoseNow(c.Context(), site, func(s diagnosedStage) {
				if !asJSON {
					s.print(c.OutOrStdout())
				}
			})
			if err := c.Context().Err(); err != nil {
				return &exit{unknown, errors.New("interrupted")}
			}
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetEscapeHTML(false)
				err = e.Encode(d)
			} else {
				err = d.print(c.OutOrStdout())
			}
			if err == nil && d.Bad() {
				err = &exit{code: badNews}
			}
			return err
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "for a program")
	return c
}

// daemonKnows is what the daemon tells the command.
type daemonKnows struct {
	Uplink   diagnosis.Uplink   `json:"uplink"`
	Power    diagnosis.Power    `json:"power"`
	Baseline diagnosis.Baseline `json:"baseline"`
	Verdict  diagnosis.Verdict  `json:"verdict"`
	Since    string             `json:"since"`
}

// diagnoseNow looks at everything once.
func diagnoseNow(ctx context.Context, site *config.Site, each func(diagnosedStage)) diagnosed {
	in := diagnosisInputs(site)
	var known daemonKnows
	base := diagnosis.Baseline{}
	raw, err := ask(ctx, controlSocket(dataDir(site)), "/diagnosis")
	if err == nil && json.Unmarshal(raw, &known) == nil && known.Baseline.Validate() == nil {
		base = known.Baseline
		in.Uplink = func(context.Context) diagnosis.Uplink { return known.Uplink }
		in.Power = func() diagnosis.Power { return known.Power }
	} else if s, err := diagnosis.OpenStore(baselineFile(site)); err == nil {
		base = s.Baseline()
	}
	p := diagnosis.New(site.Diagnosis, diagnosisContract(site), in)
	out := diagnosed{Stages: []diagnosedStage{}}
	out.Facts = p.Run(ctx, base, func(r diagnosis.Report) {
		if len(r.Facts) == 0 {
			return
		}
		s := stageOf(r)
		out.Stages = append(out.Stages, s)
		each(s)
	})
	out.Verdict = diagnosis.Judge(out.Facts, base, p.Contract())
	if known.Since != "" && known.Verdict.Code == out.Code {
		out.Since = &known.Since
	}
	return out
}

// stageOf sums a stage up: what of it failed, or how much works.
func stageOf(r diagnosis.Report) diagnosedStage {
	s := diagnosedStage{Name: r.Stage.String(), TookMS: r.Took.Milliseconds()}
	var failed, other []string
	works := 0
	for _, f := range r.Facts {
		text := joined(" ", f.Name, f.Target)
		if f.Family == 6 {
			text += " (IPv6)"
		}
		if f.Detail != "" {
			text += ": " + f.Detail
		}
		switch f.Result {
		case diagnosis.Works:
			works++
		case diagnosis.Fails:
			failed = append(failed, text)
		default:
			if f.Detail != "" && !slices.Contains(other, f.Detail) {
				other = append(other, f.Detail)
			}
			s.skipped = s.skipped || f.Result == diagnosis.Skipped
		}
	}
	fine := len(failed) == 0
	switch {
	case !fine:
		s.OK, s.Detail = &fine, strings.Join(failed, "; ")
	case works > 0:
		s.OK, s.Detail = &fine, fmt.Sprintf("%d of %d", works, len(r.Facts))
	default:
		s.Detail = strings.Join(other, "; ")
	}
	s.Detail = collectors.Clip(s.Detail, 400)
	return s
}

func (s diagnosedStage) print(w io.Writer) {
	mark := "?"
	switch {
	case s.OK != nil && *s.OK:
		mark = "ok"
	case s.OK != nil:
		mark = "NO"
	case s.skipped:
		mark = "-"
	}
	fmt.Fprintf(w, "%-2s  %-8s %6d ms  %s\n", mark, s.Name, s.TookMS, collectors.Printable(s.Detail))
}

func (d *diagnosed) print(w io.Writer) error {
	_, err := fmt.Fprintf(w, "\n%s: %s\n", d.Code, d.Sentence)
	if len(d.Also) > 0 && err == nil {
		_, err = fmt.Fprintf(w, "Also: %v\n", d.Also)
	}
	if d.Since != nil && err == nil && d.Bad() {
		_, err = fmt.Fprintf(w, "Since %s.\n", *d.Since)
	}
	if err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

func evidenceCommand(path *string) *cobra.Command {
	c := &cobra.Command{Use: "evidence", Short: "What was recorded of outages, and whether it is as it was recorded", Args: cobra.NoArgs}
	c.AddCommand(evidenceVerifyCommand(), evidenceKeyCommand(path))
	return c
}

func evidenceVerifyCommand() *cobra.Command {
	var key string
	c := &cobra.Command{
		Use: "verify FILE", Short: "Check that evidence is as the box wrote it, and that its verdicts follow from it", Args: cobra.ExactArgs(1),
		Long: "Check that evidence is as the box wrote it (a changed byte anywhere is found), and give its facts to the judge again.\n" +
			"Without --key it is checked against the key that it names itself, which does not show whose that is: `siteprobe evidence\n" +
			"key` on the box prints it. It exits with 1 when the evidence was changed.",
		RunE: func(c *cobra.Command, args []string) error {
			var pub ed25519.PublicKey
			if key != "" {
				b, err := base64.StdEncoding.DecodeString(key)
				if err != nil || len(b) != ed25519.PublicKeySize {
					return &exit{usage, errors.New("--key wants what `siteprobe evidence key` prints: 44 characters of base64")}
				}
				pub = b
			}
			b, err := statefile.Read(args[0], 2*diagnosis.MaxEvidence)
			if err != nil {
				return &exit{unknown, fmt.Errorf("reading evidence: %w", err)}
			}
			v, err := diagnosis.Verify(b, pub)
			if err != nil {
				return &exit{badNews, fmt.Errorf("this evidence does not hold: %w", err)}
			}
			return printEvidence(c.OutOrStdout(), &v, pub != nil)
		},
	}
	c.Flags().StringVar(&key, "key", "", "the box's public key, base64")
	return c
}

func printEvidence(w io.Writer, v *diagnosis.Checked, trusted bool) error {
	whose := "signed by the key that was given"
	if !trusted {
		whose = "signed by " + v.Key + " (compare it with the box's: siteprobe evidence key)"
	}
	fmt.Fprintf(w, "%s of %s holds: %d parts, %s\n", collectors.Printable(v.ID), collectors.Printable(v.Site), v.Parts, whose)
	fmt.Fprintf(w, "The judge gives the same verdict %d times", v.Replayed)
	if v.Older > 0 {
		fmt.Fprintf(w, "; %d were of another version of it and were not tried", v.Older)
	}
	fmt.Fprintln(w, ".")
	if v.Thinned > 0 {
		fmt.Fprintf(w, "%d parts were taken out for want of room; that they were there is proved.\n", v.Thinned)
	}
	if !v.Complete {
		fmt.Fprintln(w, "It does not say that the outage is over.")
	}
	for _, x := range v.Verdicts {
		fmt.Fprintf(w, "  %s (%s, %s): %s\n", x.Code, x.Owner, x.Confidence, collectors.Printable(x.Sentence))
	}
	if _, err := fmt.Fprintf(w, "sha256 %s\n", v.Hash); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return nil
}

func evidenceKeyCommand(path *string) *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Print the public key that this box signs evidence with", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			site, err := load(config.Loader{WithoutSecrets: true}, *path)
			if err != nil {
				return err
			}
			if _, err := os.Stat(evidenceKey(site)); err != nil {
				return &exit{unknown, errors.New("there is no key yet, or no right to read it: the daemon makes it when it starts")}
			}
			k, err := diagnosis.OpenKey(evidenceKey(site))
			if err != nil {
				return &exit{unknown, err}
			}
			pub, _ := k.Public().(ed25519.PublicKey) // OpenKey gives no others
			_, err = fmt.Fprintln(c.OutOrStdout(), base64.StdEncoding.EncodeToString(pub))
			return err
		},
	}
}

// sinceText writes when a stamp was.
func sinceText(offset int64, at collectors.Stamp) string {
	return rfc3339(time.UnixMilli(offset + int64(at)))
}
