package awssim

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Instance is a simulated machine.
type Instance struct {
	ID, Name, State, PublicIP, PrivateIP, Type, Zone string
	Launched                                         time.Time
	Protected                                        bool // from termination
	Group                                            string
	terminated                                       time.Time
}

// state is the instance's state now: terminating takes half a minute.
func (i Instance) state(now time.Time) string {
	switch {
	case i.terminated.IsZero():
		return i.State
	case now.Sub(i.terminated) < 30*time.Second:
		return "shutting-down"
	}
	return "terminated"
}

// SetInstance makes or replaces an instance. Its state is running if it says none.
func (s *Sim) SetInstance(i Instance) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i.State == "" {
		i.State = "running"
	}
	if i.Type == "" {
		i.Type = "t3.medium"
	}
	s.instances[i.ID] = &i
}

// InstanceState is an instance's state; empty: there is none.
func (s *Sim) InstanceState(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.instances[id]; i != nil {
		return i.state(s.now())
	}
	return ""
}

var stateCodes = map[string]int{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

// list reads InstanceId.1, InstanceId.2 …
func list(r *http.Request, name string) []string {
	var out []string
	for n := 1; r.PostForm.Has(fmt.Sprintf("%s.%d", name, n)); n++ {
		out = append(out, r.PostForm.Get(fmt.Sprintf("%s.%d", name, n)))
	}
	return out
}

func (s *Sim) describeInstances(w http.ResponseWriter, r *http.Request) *Fault {
	ids := list(r, "InstanceId")
	for _, id := range ids {
		if s.instances[id] == nil {
			return &Fault{Code: "InvalidInstanceID.NotFound", Message: "The instance ID '" + id + "' does not exist"}
		}
	}
	filters := map[string][]string{}
	for n := 1; r.PostForm.Has(fmt.Sprintf("Filter.%d.Name", n)); n++ {
		filters[r.PostForm.Get(fmt.Sprintf("Filter.%d.Name", n))] = list(r, fmt.Sprintf("Filter.%d.Value", n))
	}
	var b strings.Builder
	for _, id := range slices.Sorted(maps.Keys(s.instances)) {
		i := s.instances[id]
		if len(ids) > 0 && !slices.Contains(ids, id) {
			continue
		}
		if v, ok := filters["tag:Name"]; ok && !slices.ContainsFunc(v, func(p string) bool {
			head, wild := strings.CutSuffix(p, "*")
			return p == i.Name || wild && strings.HasPrefix(i.Name, head)
		}) {
			continue
		}
		if v, ok := filters["instance-state-name"]; ok && !slices.Contains(v, i.state(s.now())) {
			continue
		}
		tags := "<item><key>Name</key><value>" + i.Name + "</value></item>"
		if i.Group != "" {
			tags += "<item><key>aws:autoscaling:groupName</key><value>" + i.Group + "</value></item>"
		}
		fmt.Fprintf(&b, `<item><reservationId>r-1</reservationId><instancesSet><item><instanceId>%s</instanceId><instanceState><code>%d</code><name>%s</name></instanceState><instanceType>%s</instanceType><launchTime>%s</launchTime><placement><availabilityZone>%s</availabilityZone></placement><privateIpAddress>%s</privateIpAddress>`,
			i.ID, stateCodes[i.state(s.now())], i.state(s.now()), i.Type, stamp(i.Launched.Add(time.Second)), i.Zone, i.PrivateIP)
		if i.PublicIP != "" {
			b.WriteString("<ipAddress>" + i.PublicIP + "</ipAddress>")
		}
		b.WriteString("<tagSet>" + tags + "</tagSet></item></instancesSet></item>")
	}
	ec2(w, "DescribeInstances", "<reservationSet>"+b.String()+"</reservationSet>")
	return nil
}

func (s *Sim) describeInstanceAttribute(w http.ResponseWriter, r *http.Request) *Fault {
	i := s.instances[r.PostForm.Get("InstanceId")]
	if i == nil {
		return &Fault{Code: "InvalidInstanceID.NotFound", Message: "no such instance"}
	}
	ec2(w, "DescribeInstanceAttribute", fmt.Sprintf("<instanceId>%s</instanceId><disableApiTermination><value>%t</value></disableApiTermination>", i.ID, i.Protected))
	return nil
}

func (s *Sim) terminateInstances(w http.ResponseWriter, r *http.Request) *Fault {
	ids := list(r, "InstanceId")
	for _, id := range ids {
		i := s.instances[id]
		if i == nil {
			return &Fault{Code: "InvalidInstanceID.NotFound", Message: "The instance ID '" + id + "' does not exist"}
		}
		if i.Protected {
			return &Fault{Code: "OperationNotPermitted", Message: "The instance '" + id + "' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again."}
		}
	}
	for _, id := range ids {
		if i := s.instances[id]; i.terminated.IsZero() {
			i.terminated = s.now()
		}
	}
	ec2(w, "TerminateInstances", "<instancesSet></instancesSet>")
	return nil
}

func ec2(w http.ResponseWriter, action, inside string) {
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<%[1]sResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>%[3]s</requestId>%[2]s</%[1]sResponse>`, action, inside, requestID)
}

// refuseEC2 writes an error as EC2 does.
func refuseEC2(w http.ResponseWriter, f Fault) {
	status := f.Status
	if status == 0 {
		status = http.StatusBadRequest
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID></Response>", f.Code, f.Message, requestID)
}
