package dns

import (
	"context"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/route53/types"
)

// record is one record set of a name.
type record struct {
	Name    string   // without the dot at its end
	Type    string   // A, AAAA or CNAME
	Values  []string // sorted, names without the dot at their end
	TTL     int64    // seconds; 1 at Cloudflare: automatic
	Proxied bool     // by Cloudflare
	// Special says why the record cannot be switched: "an alias", "weighted".
	Special string
	ids     []string                 // at Cloudflare
	set     *types.ResourceRecordSet // at Route 53, letter for letter
}

// text is a record as the journal has it: "A 192.0.2.7, TTL 300". parse reads it back.
func (r record) text() string {
	s := fmt.Sprintf("%s %s, TTL %d", r.Type, strings.Join(r.Values, " "), r.TTL)
	if r.Proxied {
		s += ", proxied"
	}
	return s
}

var recordText = regexp.MustCompile(`^(A|AAAA|CNAME) (\S+(?: \S+)*), TTL (\d+)(, proxied)?$`)

func parse(name, text string) (record, error) {
	m := recordText.FindStringSubmatch(text)
	if m == nil {
		return record{}, fmt.Errorf("%q is no record", text)
	}
	ttl, err := strconv.ParseInt(m[3], 10, 64)
	return record{Name: name, Type: m[1], Values: strings.Fields(m[2]), TTL: ttl, Proxied: m[4] != ""}, err
}

// same reports whether two records answer alike.
func (r record) same(other record) bool {
	return r.Type == other.Type && slices.Equal(r.Values, other.Values) && r.TTL == other.TTL && r.Proxied == other.Proxied
}

// typeOf is the type of record that a target needs.
func typeOf(target string) string {
	switch ip := net.ParseIP(target); {
	case ip == nil:
		return "CNAME"
	case ip.To4() != nil:
		return "A"
	}
	return "AAAA"
}

// held is how long those who asked a moment ago go on using a record. What Cloudflare's
// proxy has behind it nobody else keeps, and its automatic TTL is five minutes.
func held(z provider, r *record) time.Duration {
	if r == nil || r.Proxied {
		return 0
	}
	if _, ok := z.(*zoneCF); ok && r.TTL == automaticTTL {
		return 5 * time.Minute
	}
	return time.Duration(r.TTL) * time.Second
}

// errMoved: a record is not what a change was to replace. Nothing was changed.
func errMoved(name string) error {
	return fmt.Errorf("%s was changed by somebody meanwhile; it is read again", name)
}

// value is a record's value as values are compared: addresses in their usual form, names
// in small letters without the dot at their end.
func value(text string) string {
	if ip := net.ParseIP(text); ip != nil {
		return ip.String()
	}
	return bare(text)
}

func bare(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// provider is where the records of a zone are kept.
type provider interface {
	// name is the provider and zone for people: "Route 53, zone example.org".
	name() string
	// servers are the zone's authoritative servers.
	servers() []string
	// look reads the record sets of a name that point somewhere, and the types of the
	// others.
	look(ctx context.Context, name string) (found []record, others []string, err error)
	// put replaces was by the record, or makes it where was is nil; a record that is
	// something else by then is left, and that is an error. change is what settled asks
	// about.
	put(ctx context.Context, r record, was *record) (change string, err error)
	// remove removes a record that is exactly this one.
	remove(ctx context.Context, r record) (change string, err error)
	// settled reports whether a change is in effect at all servers, as the provider says.
	settled(ctx context.Context, change string) (bool, error)
}
