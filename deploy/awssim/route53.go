package awssim

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Zone is a hosted zone of Route 53.
type Zone struct {
	Name    string // without the dot at its end
	Servers []string
	Private bool
	// Lag is how long after a change the servers have it.
	Lag time.Duration

	id      string
	sets    []recordSet
	history []zoneVersion
}

type zoneVersion struct {
	at   time.Time
	sets []recordSet
}

type recordSet struct {
	Name          string
	Type          string
	SetIdentifier string `xml:",omitempty"`
	TTL           int64  `xml:",omitempty"`
	Records       []struct {
		Value string
	} `xml:"ResourceRecords>ResourceRecord"`
	Alias *aliasTarget `xml:"AliasTarget,omitempty"`
}

type aliasTarget struct{ HostedZoneId, DNSName string }

// AddZone adds a zone.
func (s *Sim) AddZone(z Zone) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	z.id = fmt.Sprintf("Z%08d", s.made)
	s.zones = append(s.zones, &z)
}

// SetRecord makes a record as somebody else would, at once at all servers.
func (s *Sim) SetRecord(zone, name, kind string, ttl int64, values ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, z := range s.zones {
		if z.Name == zone {
			r := recordSet{Name: name + ".", Type: kind, TTL: ttl}
			for _, v := range values {
				r.Records = append(r.Records, struct{ Value string }{v})
			}
			z.put(r)
			z.history = nil
		}
	}
}

// SetSpecial makes an A record that is an alias of a name, or, with an identifier, one of
// several that are chosen from.
func (s *Sim) SetSpecial(zone, name, alias, identifier string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, z := range s.zones {
		if z.Name == zone {
			r := recordSet{Name: name + ".", Type: "A", SetIdentifier: identifier}
			if alias != "" {
				r.Alias = &aliasTarget{"Z1", alias + "."}
			}
			z.put(r)
		}
	}
}

func (z *Zone) put(r recordSet) {
	z.drop(r)
	z.sets = append(z.sets, r)
}

func (r recordSet) is(other recordSet) bool {
	return r.TTL == other.TTL && slices.Equal(r.Records, other.Records)
}

func (z *Zone) drop(r recordSet) bool {
	n := len(z.sets)
	z.sets = slices.DeleteFunc(slices.Clone(z.sets), func(x recordSet) bool { return x.Name == r.Name && x.Type == r.Type })
	return len(z.sets) < n
}

// Answers is what the servers of a zone answer for a name now.
func (s *Sim) Answers(name, kind string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, z := range s.zones {
		sets := z.sets
		for _, v := range slices.Backward(z.history) {
			if s.now().Before(v.at.Add(z.Lag)) {
				sets = v.sets
			}
		}
		for _, r := range sets {
			if strings.TrimSuffix(r.Name, ".") == strings.TrimSuffix(name, ".") && r.Type == kind {
				for _, v := range r.Records {
					out = append(out, v.Value)
				}
			}
		}
	}
	return out
}

func (s *Sim) serveRoute53(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	path := strings.Split(strings.Trim(r.URL.Path, "/"), "/")[1:] // behind the version
	action := map[string]string{"hostedzone1": "ListHostedZones", "hostedzone2": "GetHostedZone", "hostedzone3": "ListResourceRecordSets", "change2": "GetChange"}[fmt.Sprintf("%s%d", path[0], len(path))]
	if r.Method == http.MethodPost {
		action = "ChangeResourceRecordSets"
	}
	s.calls[action]++
	if f, ok := s.planned(action); ok {
		refuse(w, f)
		return
	}
	switch action {
	case "ListHostedZones":
		var b strings.Builder
		for _, z := range s.zones {
			b.WriteString(z.xml())
		}
		route53(w, action, "<HostedZones>"+b.String()+"</HostedZones><IsTruncated>false</IsTruncated><MaxItems>100</MaxItems>")
	case "GetHostedZone":
		z := s.zone(path[1])
		if z == nil {
			refuse(w, Fault{Status: http.StatusNotFound, Code: "NoSuchHostedZone"})
			return
		}
		var b strings.Builder
		for _, n := range z.Servers {
			b.WriteString("<NameServer>" + n + "</NameServer>")
		}
		route53(w, action, z.xml()+"<DelegationSet><NameServers>"+b.String()+"</NameServers></DelegationSet>")
	case "ListResourceRecordSets":
		z := s.zone(path[1])
		if z == nil {
			refuse(w, Fault{Status: http.StatusNotFound, Code: "NoSuchHostedZone"})
			return
		}
		var found []recordSet
		for _, x := range z.sets {
			if x.Name >= r.URL.Query().Get("name") {
				found = append(found, x)
			}
		}
		slices.SortFunc(found, func(a, b recordSet) int { return strings.Compare(a.Name+a.Type, b.Name+b.Type) })
		b, err := xml.Marshal(struct {
			XMLName xml.Name    `xml:"ResourceRecordSets"`
			Sets    []recordSet `xml:"ResourceRecordSet"`
		}{Sets: found})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		route53(w, action, string(b)+"<IsTruncated>false</IsTruncated><MaxItems>300</MaxItems>")
	case "GetChange":
		at, status := s.changes[path[1]], "INSYNC"
		if s.now().Before(at) {
			status = "PENDING"
		}
		route53(w, action, changeInfo(path[1], status, s.now()))
	case "ChangeResourceRecordSets":
		s.changeRecords(w, path[1], body)
	default:
		refuse(w, Fault{Status: http.StatusNotFound, Code: "UnknownOperation", Message: r.Method + " " + r.URL.Path})
	}
}

func (s *Sim) changeRecords(w http.ResponseWriter, id string, body []byte) {
	z := s.zone(id)
	if z == nil {
		refuse(w, Fault{Status: http.StatusNotFound, Code: "NoSuchHostedZone"})
		return
	}
	var in struct {
		Changes []struct {
			Action string
			Set    recordSet `xml:"ResourceRecordSet"`
		} `xml:"ChangeBatch>Changes>Change"`
	}
	if err := xml.Unmarshal(body, &in); err != nil {
		refuse(w, Fault{Code: "InvalidInput", Message: err.Error()})
		return
	}
	before := slices.Clone(z.sets)
	for _, c := range in.Changes {
		there := slices.IndexFunc(z.sets, func(x recordSet) bool { return x.Name == c.Set.Name && x.Type == c.Set.Type })
		refused := ""
		switch {
		case c.Action == "CREATE" && there >= 0:
			refused = "it already exists"
		case c.Action == "DELETE" && there < 0:
			refused = "it was not found"
		case c.Action == "DELETE" && !z.sets[there].is(c.Set):
			refused = "the values provided do not match the current values"
		case c.Action == "DELETE":
			z.drop(c.Set)
		default:
			z.put(c.Set)
		}
		if refused != "" {
			z.sets = before
			refuse(w, Fault{Code: "InvalidChangeBatch", Message: "[Tried to " + strings.ToLower(c.Action) + " resource record set " + c.Set.Name + " but " + refused + "]"})
			return
		}
	}
	z.history = append(z.history, zoneVersion{s.now(), before})
	s.made++
	change := fmt.Sprintf("C%08d", s.made)
	s.changes[change] = s.now().Add(z.Lag)
	route53(w, "ChangeResourceRecordSets", changeInfo("/change/"+change, "PENDING", s.now()))
}

func changeInfo(id, status string, at time.Time) string {
	return "<ChangeInfo><Id>" + id + "</Id><Status>" + status + "</Status><SubmittedAt>" + stamp(at) + "</SubmittedAt></ChangeInfo>"
}

func (z *Zone) xml() string {
	return fmt.Sprintf("<HostedZone><Id>/hostedzone/%s</Id><Name>%s.</Name><CallerReference>c</CallerReference><Config><PrivateZone>%t</PrivateZone></Config></HostedZone>", z.id, z.Name, z.Private)
}

func (s *Sim) zone(id string) *Zone {
	for _, z := range s.zones {
		if z.id == id {
			return z
		}
	}
	return nil
}

func route53(w http.ResponseWriter, action, inside string) {
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<%[1]sResponse xmlns="https://route53.amazonaws.com/doc/2013-04-01/">%[2]s</%[1]sResponse>`, action, inside)
}
