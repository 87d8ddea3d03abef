package topology

import "net/netip"

// Graph is how a site is wired, as far as it is known. All lists are in an order that
// only depends on the facts.
type Graph struct {
	Nodes []Node   `json:"nodes"`
	Links []Link   `json:"links"`
	Hosts []Host   `json:"hosts"`
	Notes []string `json:"notes"` // what contradicts itself, for people

	bindings map[netip.Addr][]bound
	hosts    map[MAC]int
	nodes    map[string]int
	owners   map[MAC]string
	heard    []adjacency // key is the node's ID
}

// Kind tells what a node is.
type Kind string

// The kinds of nodes.
const (
	KindDevice    Kind = "device"    // of the site file
	KindNeighbour Kind = "neighbour" // somebody whom a device hears
	KindSegment   Kind = "segment"   // nobody: an unmanaged switch, or a hub, that must be there
)

// Node is something that cables go to.
type Node struct {
	ID        string       `json:"id"` // a device's name; of others it begins with the kind and a colon
	Kind      Kind         `json:"kind"`
	Name      string       `json:"name"`
	Descr     string       `json:"descr,omitempty"` // what it says that it is
	Bridges   bool         `json:"bridges"`         // it is a switch, a router or an access point
	Phone     bool         `json:"phone,omitempty"`
	Chassis   string       `json:"chassis,omitempty"`
	Addresses []netip.Addr `json:"addresses,omitempty"`
	Asked     bool         `json:"asked"`             // it has answered itself
	Partial   []string     `json:"partial,omitempty"` // what it did not answer, and why
}

// Confidence tells how far a link or a place can be believed.
type Confidence string

// The confidences; see the package comment.
const (
	High   Confidence = "high"
	Medium Confidence = "medium"
	Low    Confidence = "low"
)

// End is one end of a link.
type End struct {
	Node    string   `json:"node"`
	Port    string   `json:"port,omitempty"` // empty: it is not known
	IfIndex int      `json:"ifIndex,omitempty"`
	Members []string `json:"members,omitempty"`   // of a bundle, those that hear the other end
	Speed   uint64   `json:"speed_bps,omitempty"` // 0: unknown
}

// Link is a cable, a bundle of them, or a way through something that hides.
type Link struct {
	A          End        `json:"a"`
	B          End        `json:"b"`
	Confidence Confidence `json:"confidence"`
	Evidence   []string   `json:"evidence"`
}

// Host is a MAC that is no bridge's and where it is plugged in.
type Host struct {
	MAC        MAC          `json:"mac"`
	IPs        []netip.Addr `json:"ips,omitempty"`
	Name       string       `json:"name,omitempty"` // of the node whose MAC it is
	Node       string       `json:"node"`
	Port       string       `json:"port,omitempty"`
	IfIndex    int          `json:"ifIndex,omitempty"`
	VLANs      []int        `json:"vlans,omitempty"`
	Behind     []string     `json:"behind,omitempty"` // nodes that are heard at the same port
	Others     int          `json:"others"`           // how many other MACs are seen at the port
	Confidence Confidence   `json:"confidence"`
}

// Known is a device of the site file.
type Known struct {
	Name    string
	Address string // host, or host:port
	MACs    []MAC  // where they are known otherwise
}

// Node finds a node by its ID.
func (g *Graph) Node(id string) *Node {
	if i, ok := g.nodes[id]; ok {
		return &g.Nodes[i]
	}
	return nil
}

// bound is what a device's ARP cache says of an address.
type bound struct {
	mac MAC
	by  string
}
