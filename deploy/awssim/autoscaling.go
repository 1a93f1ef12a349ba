package awssim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Group is a simulated Auto Scaling group: instances are in service ten seconds after the
// number changed.
type Group struct {
	Min, Max, Desired int
	NoCapacity        int // no more instances than this can be had; zero: no limit
	Suspended         []string
	RefreshTime       time.Duration
	RefreshFails      bool
	Policies          [][2]string // names of scaling policies and of the alarms that set them off

	was       int
	scaledAt  time.Time
	refreshes []*refresh // newest first
}

type refresh struct {
	id        string
	began     time.Time
	cancelled time.Time
}

// SetGroup makes or replaces a group.
func (s *Sim) SetGroup(name string, g Group) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.was = g.Desired
	s.groups[name] = &g
}

// GroupSize is a group's bounds and number: "1 4 2".
func (s *Sim) GroupSize(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[name]
	return fmt.Sprintf("%d %d %d", g.Min, g.Max, g.Desired)
}

// Refreshes is how many refreshes a group had. Refresh begins one as somebody else would.
func (s *Sim) Refreshes(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.groups[name].refreshes)
}

// Refresh begins a refresh as somebody else would.
func (s *Sim) Refresh(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.begin(s.groups[name])
}

func (s *Sim) begin(g *Group) string {
	s.made++
	r := &refresh{id: fmt.Sprintf("refresh-%04d", s.made), began: s.now()}
	g.refreshes = append([]*refresh{r}, g.refreshes...)
	return r.id
}

func (s *Sim) refreshState(g *Group, r *refresh) (status string, percent int) {
	at := s.now()
	if !r.cancelled.IsZero() && r.cancelled.Before(at) {
		at = r.cancelled
	}
	percent = min(100, int(100*at.Sub(r.began)/max(g.RefreshTime, 1)))
	switch {
	case !r.cancelled.IsZero() && s.now().Sub(r.cancelled) < 5*time.Second:
		return "Cancelling", percent
	case !r.cancelled.IsZero():
		return "Cancelled", percent
	case g.RefreshFails && percent >= 50:
		return "Failed", 50
	case percent < 100:
		return "InProgress", percent
	}
	return "Successful", 100
}

func (s *Sim) autoscaling(w http.ResponseWriter, r *http.Request, action string) *Fault {
	f := r.PostForm
	name := f.Get("AutoScalingGroupName")
	g := s.groups[name]
	if g == nil && action != "DescribeAutoScalingGroups" {
		return failure("ValidationError", "AutoScalingGroup name not found - AutoScalingGroup '%s' not found", name)
	}
	switch action {
	case "DescribeAutoScalingGroups":
		var b strings.Builder
		wanted := f.Get("AutoScalingGroupNames.member.1")
		for n, g := range s.groups {
			if wanted == "" || n == wanted {
				b.WriteString(s.groupXML(n, g))
			}
		}
		autoscalingAnswer(w, action, "<AutoScalingGroups>"+b.String()+"</AutoScalingGroups>")
	case "DescribePolicies":
		inside := ""
		for _, p := range g.Policies {
			inside += "<member><PolicyName>" + p[0] + "</PolicyName><Enabled>true</Enabled><Alarms><member><AlarmName>" + p[1] + "</AlarmName></member></Alarms></member>"
		}
		autoscalingAnswer(w, action, "<ScalingPolicies>"+inside+"</ScalingPolicies>")
	case "DescribeScalingActivities":
		inside := ""
		if g.NoCapacity > 0 && g.Desired > g.NoCapacity {
			inside = "<member><ActivityId>a</ActivityId><AutoScalingGroupName>" + name + "</AutoScalingGroupName><Cause>c</Cause><StartTime>" + stamp(s.now()) + "</StartTime><StatusCode>Failed</StatusCode><StatusMessage>We currently do not have sufficient m5.large capacity in the Availability Zone you requested.</StatusMessage></member>"
		}
		autoscalingAnswer(w, action, "<Activities>"+inside+"</Activities>")
	case "UpdateAutoScalingGroup":
		g.was, g.scaledAt = g.Desired, s.now()
		for key, into := range map[string]*int{"MinSize": &g.Min, "MaxSize": &g.Max, "DesiredCapacity": &g.Desired} {
			if n, err := strconv.Atoi(f.Get(key)); err == nil {
				*into = n
			}
		}
		autoscalingAnswer(w, action, "")
	case "DescribeInstanceRefreshes":
		var b strings.Builder
		for _, x := range g.refreshes {
			status, percent := s.refreshState(g, x)
			fmt.Fprintf(&b, "<member><InstanceRefreshId>%s</InstanceRefreshId><AutoScalingGroupName>%s</AutoScalingGroupName><Status>%s</Status><PercentageComplete>%d</PercentageComplete><InstancesToUpdate>%d</InstancesToUpdate><StatusReason>%s</StatusReason><StartTime>%s</StartTime></member>",
				x.id, name, status, percent, g.Desired*(100-percent)/100, map[bool]string{true: "instances failed their health checks"}[status == "Failed"], stamp(x.began))
		}
		autoscalingAnswer(w, action, "<InstanceRefreshes>"+b.String()+"</InstanceRefreshes>")
	case "StartInstanceRefresh":
		if len(g.refreshes) > 0 {
			if status, _ := s.refreshState(g, g.refreshes[0]); status == "InProgress" || status == "Cancelling" {
				return failure("InstanceRefreshInProgress", "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.")
			}
		}
		autoscalingAnswer(w, action, "<InstanceRefreshId>"+s.begin(g)+"</InstanceRefreshId>")
	case "CancelInstanceRefresh":
		if len(g.refreshes) == 0 {
			return failure("ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found.")
		}
		if status, _ := s.refreshState(g, g.refreshes[0]); status != "InProgress" {
			return failure("ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found.")
		}
		g.refreshes[0].cancelled = s.now()
		autoscalingAnswer(w, action, "<InstanceRefreshId>"+g.refreshes[0].id+"</InstanceRefreshId>")
	default:
		return &Fault{Code: "InvalidAction", Message: "Could not find operation " + action}
	}
	return nil
}

func (s *Sim) groupXML(name string, g *Group) string {
	n := g.Desired
	if s.now().Sub(g.scaledAt) < 10*time.Second {
		n = g.was
	}
	if g.NoCapacity > 0 {
		n = min(n, g.NoCapacity)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<member><AutoScalingGroupName>%s</AutoScalingGroupName><MinSize>%d</MinSize><MaxSize>%d</MaxSize><DesiredCapacity>%d</DesiredCapacity><DefaultCooldown>300</DefaultCooldown><AvailabilityZones/><HealthCheckType>EC2</HealthCheckType><CreatedTime>%s</CreatedTime><LaunchTemplate><LaunchTemplateName>web</LaunchTemplateName><Version>7</Version></LaunchTemplate><Instances>",
		name, g.Min, g.Max, g.Desired, stamp(s.now().Add(-time.Hour)))
	for i := range n {
		fmt.Fprintf(&b, "<member><InstanceId>i-%d</InstanceId><AvailabilityZone>a</AvailabilityZone><LifecycleState>InService</LifecycleState><HealthStatus>Healthy</HealthStatus><ProtectedFromScaleIn>false</ProtectedFromScaleIn></member>", i)
	}
	b.WriteString("</Instances><SuspendedProcesses>")
	for _, p := range g.Suspended {
		b.WriteString("<member><ProcessName>" + p + "</ProcessName></member>")
	}
	b.WriteString("</SuspendedProcesses></member>")
	return b.String()
}

func autoscalingAnswer(w http.ResponseWriter, action, inside string) {
	w.Header().Set("Content-Type", "text/xml")
	fmt.Fprintf(w, `<%[1]sResponse xmlns="http://autoscaling.amazonaws.com/doc/2011-01-01/"><%[1]sResult>%[2]s</%[1]sResult><ResponseMetadata><RequestId>%[3]s</RequestId></ResponseMetadata></%[1]sResponse>`, action, inside, requestID)
}
