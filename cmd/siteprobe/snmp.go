package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/siteprobe/siteprobe/collectors/snmp"
	"github.com/siteprobe/siteprobe/collectors/snmp/pdu"
	"github.com/siteprobe/siteprobe/collectors/snmp/profile"
)

func snmpCommand(path *string) *cobra.Command {
	c := &cobra.Command{
		Use: "snmp", Short: "Look at one device by SNMP", Args: cobra.NoArgs,
		Long: "Look at one device by SNMP: its address, or its name in the site file.\n\n" +
			"Where there is a site file, only what its scope names is asked, and the device's own credentials are tried, or the\n" +
			"defaults. On a machine without one nothing is asked but the address on the command line.\n" +
			"Secrets never stand on a command line: --credential takes one from the site file, --community-file and the other\n" +
			"files hold one each, SITEPROBE_COMMUNITY, SITEPROBE_AUTH_PASSWORD and SITEPROBE_PRIV_PASSWORD are read, and what\n" +
			"is then still wanted is asked for. (-c is the site file, not net-snmp's community.)",
	}
	c.AddCommand(snmpWalkCommand(path), snmpGetCommand(path), snmpIdentifyCommand(path))
	return c
}

func snmpWalkCommand(path *string) *cobra.Command {
	a := &access{path: path}
	var numeric bool
	var most int
	c := &cobra.Command{
		Use: "walk ADDRESS[:PORT] [OID...]", Short: "Print all that stands below identifiers", Args: cobra.MinimumNArgs(1),
		Long: "Print all that stands below identifiers (.1.3.6.1.2.1 without any), one variable a line, as snmpwalk does.\n" +
			"Identifiers are numbers or names that profiles have (ifName, IF-MIB::ifName.3).",
		RunE: func(c *cobra.Command, args []string) error {
			return a.ask(c, args, numeric, "mib-2", func(ctx context.Context, s *asking) error { return s.walk(ctx, snmp.Limits{Variables: most}) })
		},
	}
	a.flags(c)
	c.Flags().BoolVarP(&numeric, "numeric", "n", false, "identifiers in numbers and text in quotation marks, as -On has it")
	c.Flags().IntVar(&most, "max", 100_000, "stop after this many variables")
	return c
}

func snmpGetCommand(path *string) *cobra.Command {
	a := &access{path: path}
	var numeric bool
	c := &cobra.Command{
		Use: "get ADDRESS[:PORT] OID...", Short: "Print single variables", Args: cobra.MinimumNArgs(2),
		Long: "Print single variables, as snmpget does. It exits with 1 when the device lacks one of them.",
		RunE: func(c *cobra.Command, args []string) error {
			return a.ask(c, args, numeric, "", func(ctx context.Context, s *asking) error { return s.get(ctx) })
		},
	}
	a.flags(c)
	c.Flags().BoolVarP(&numeric, "numeric", "n", false, "identifiers in numbers and text in quotation marks, as -On has it")
	return c
}

// asking is one walk or get on its way.
type asking struct {
	client *snmp.Client
	oids   [][]byte
	names  *profile.Names
	out    *bufio.Writer
	quoted bool
	line   []byte
	seen   int
	absent bool
}

// ask reads the identifiers, opens the client and lets do ask.
func (a *access) ask(c *cobra.Command, args []string, numeric bool, without string, do func(context.Context, *asking) error) error {
	site, set, err := a.settings(c)
	if err != nil {
		return err
	}
	s := &asking{names: set.Names(), quoted: numeric, out: bufio.NewWriter(c.OutOrStdout())}
	wanted := args[1:]
	if len(wanted) == 0 {
		wanted = []string{without}
	}
	for _, w := range wanted {
		if all, ok := everything(w); ok {
			s.oids = append(s.oids, all...)
			continue
		}
		oid, ok := s.names.OID(w)
		if !ok {
			return &exit{usage, fmt.Errorf("%q is neither an identifier in numbers nor a name that a profile has%s", w, near(w, s.names.All()))}
		}
		s.oids = append(s.oids, oid)
	}
	if s.client, err = a.dial(c, site, set, args[0]); err != nil {
		return err
	}
	defer s.client.Close()
	err = do(c.Context(), s)
	if e := s.out.Flush(); err == nil && e != nil {
		err = fmt.Errorf("printing: %w", e)
	}
	switch {
	case err != nil:
		return &exit{badNews, err}
	case s.absent:
		return &exit{code: badNews}
	}
	return nil
}

// everything gives what ".1" stands for: an identifier has two numbers at least, and
// LLDP does not stand below 1.3.
func everything(w string) ([][]byte, bool) {
	if w != "1" && w != ".1" {
		return nil, false
	}
	return [][]byte{pdu.MustOID("1.0"), pdu.MustOID("1.1"), pdu.MustOID("1.2"), pdu.MustOID("1.3")}, true
}

// print prints one variable. It returns false where nobody reads any more.
func (s *asking) print(v pdu.Varbind) bool {
	s.line = s.line[:0]
	if s.quoted {
		s.line = pdu.AppendDotted(append(s.line, '.'), v.OID)
	} else {
		s.line = s.names.Append(s.line, v.OID)
	}
	s.line = pdu.AppendValue(append(s.line, " = "...), &v, s.quoted)
	s.seen++
	s.absent = s.absent || v.Absent()
	_, err := s.out.Write(append(s.line, '\n'))
	return err == nil
}

// walk walks one identifier after the other. One that is a variable itself is
// printed, as snmpwalk does.
func (s *asking) walk(ctx context.Context, l snmp.Limits) error {
	for _, oid := range s.oids {
		before := s.seen
		root := len(oid) == 1 // no variable has such a name
		if err := s.client.Walk(ctx, l, s.print, oid); err != nil {
			return err
		}
		if s.seen == before && !root {
			if err := s.one(ctx, oid); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *asking) get(ctx context.Context) error {
	for _, oid := range s.oids {
		if err := s.one(ctx, oid); err != nil {
			return err
		}
	}
	return nil
}

// one asks for one variable. With v1 that the device lacks it is an error.
func (s *asking) one(ctx context.Context, oid []byte) error {
	vars, err := s.client.Get(ctx, oid)
	var status *snmp.StatusError
	if errors.As(err, &status) && status.NoSuchName() {
		vars, err = []pdu.Varbind{{OID: oid, Tag: pdu.TagNoSuchInstance}}, nil
	}
	if err != nil {
		return err
	}
	for _, v := range vars {
		if !s.print(v) {
			return io.ErrClosedPipe
		}
	}
	return nil
}

// near proposes a name that was meant.
func near(s string, known []string) string {
	_, name, ok := strings.Cut(s, "::")
	if !ok {
		name = s
	}
	name, _, _ = strings.Cut(name, ".")
	if n := profile.Near(name, known); n != "" {
		return fmt.Sprintf(", did you mean %q?", n)
	}
	return ""
}
