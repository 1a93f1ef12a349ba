package awssim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// sparkCluster is a simulated cluster of EMR: it is listed after listLag, takes steps after
// two minutes, ends half a minute after it is told to, and each step takes a minute; one with
// "broken" among its arguments fails.
type sparkCluster struct {
	id, name  string
	tags      []map[string]string
	began     time.Time
	ended     time.Time
	Protected bool
	steps     []*sparkStep
}

type sparkStep struct {
	id, name  string
	broken    bool
	began     time.Time
	cancelled bool
}

const listLag = 20 * time.Second

func (c *sparkCluster) state(now time.Time) string {
	switch {
	case !c.ended.IsZero() && now.Sub(c.ended) < 30*time.Second:
		return "TERMINATING"
	case !c.ended.IsZero():
		return "TERMINATED"
	case now.Sub(c.began) < 2*time.Minute:
		return "STARTING"
	case slices.ContainsFunc(c.steps, func(x *sparkStep) bool { return x.state(now) == "RUNNING" }):
		return "RUNNING"
	}
	return "WAITING"
}

func (x *sparkStep) state(now time.Time) string {
	switch {
	case x.cancelled:
		return "CANCELLED"
	case now.Sub(x.began) < time.Minute:
		return "RUNNING"
	case x.broken:
		return "FAILED"
	}
	return "COMPLETED"
}

// SparkClusters is how many clusters there were, and how many steps they had.
func (s *Sim) SparkClusters() (clusters, steps int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.sparks {
		steps += len(c.steps)
	}
	return len(s.sparks), steps
}

// SparkState is a cluster's state; Protect it from termination with ProtectSpark.
func (s *Sim) SparkState(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sparks[id].state(s.now())
}

// ProtectSpark turns a cluster's termination protection on or off.
func (s *Sim) ProtectSpark(id string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sparks[id].Protected = on
}

func (s *Sim) emr() {
	absent := &Fault{Code: "InvalidRequestException", Message: "Cluster id is not valid."}
	describe := func(x *sparkStep) map[string]any {
		status := map[string]any{"State": x.state(s.now())}
		if status["State"] == "FAILED" {
			status["FailureDetails"] = map[string]any{"Reason": "Main class threw an exception.", "Message": "KeyError: 'title'", "LogFile": "s3://logs/stderr.gz"}
		}
		return map[string]any{"Id": x.id, "Name": x.name, "Status": status}
	}
	s.json["elasticmapreduce.RunJobFlow"] = on(func(in struct {
		Name string
		Tags []map[string]string
	}) (any, *Fault) {
		s.made++
		c := &sparkCluster{id: fmt.Sprintf("j-%010d", s.made), name: in.Name, tags: in.Tags, began: s.now()}
		s.sparks[c.id] = c
		return map[string]any{"JobFlowId": c.id}, nil
	})
	s.json["elasticmapreduce.ListClusters"] = on(func(struct{}) (any, *Fault) {
		list := []any{}
		for _, id := range slices.Sorted(maps.Keys(s.sparks)) {
			if s.now().Sub(s.sparks[id].began) < listLag {
				continue
			}
			list = append(list, map[string]any{"Id": id, "Name": s.sparks[id].name})
		}
		return map[string]any{"Clusters": list}, nil
	})
	s.json["elasticmapreduce.DescribeCluster"] = on(func(in struct {
		ClusterID string `json:"ClusterId"`
	}) (any, *Fault) {
		c := s.sparks[in.ClusterID]
		if c == nil {
			return nil, absent
		}
		return map[string]any{"Cluster": map[string]any{"Id": c.id, "Name": c.name, "Tags": c.tags, "TerminationProtected": c.Protected, "ReleaseLabel": "emr-7.1.0", "Status": map[string]any{"State": c.state(s.now())}}}, nil
	})
	s.json["elasticmapreduce.TerminateJobFlows"] = on(func(in struct{ JobFlowIds []string }) (any, *Fault) {
		for _, id := range in.JobFlowIds {
			if c := s.sparks[id]; c != nil && c.ended.IsZero() && !c.Protected {
				c.ended = s.now()
			}
		}
		return map[string]any{}, nil
	})
	s.json["elasticmapreduce.AddJobFlowSteps"] = on(func(in struct {
		JobFlowID string `json:"JobFlowId"`
		Steps     []struct {
			Name          string
			HadoopJarStep struct{ Args []string }
		}
	}) (any, *Fault) {
		c := s.sparks[in.JobFlowID]
		if c == nil {
			return nil, absent
		}
		ids := []string{}
		for _, x := range in.Steps {
			s.made++
			id := fmt.Sprintf("s-%010d", s.made)
			c.steps = append(c.steps, &sparkStep{id: id, name: x.Name, broken: strings.Contains(strings.Join(x.HadoopJarStep.Args, " "), "broken"), began: s.now()})
			ids = append(ids, id)
		}
		return map[string]any{"StepIds": ids}, nil
	})
	s.json["elasticmapreduce.ListSteps"] = on(func(in struct {
		ClusterID  string `json:"ClusterId"`
		StepStates []string
	}) (any, *Fault) {
		c := s.sparks[in.ClusterID]
		if c == nil {
			return nil, absent
		}
		list := []any{}
		for _, x := range c.steps {
			if len(in.StepStates) == 0 || slices.Contains(in.StepStates, x.state(s.now())) {
				list = append(list, describe(x))
			}
		}
		return map[string]any{"Steps": list}, nil
	})
	s.json["elasticmapreduce.DescribeStep"] = on(func(in struct {
		ClusterID string `json:"ClusterId"`
		StepID    string `json:"StepId"`
	}) (any, *Fault) {
		if c := s.sparks[in.ClusterID]; c != nil {
			for _, x := range c.steps {
				if x.id == in.StepID {
					return map[string]any{"Step": describe(x)}, nil
				}
			}
		}
		return nil, absent
	})
	s.json["elasticmapreduce.CancelSteps"] = on(func(in struct {
		ClusterID string `json:"ClusterId"`
		StepIds   []string
	}) (any, *Fault) {
		if c := s.sparks[in.ClusterID]; c != nil {
			for _, x := range c.steps {
				if slices.Contains(in.StepIds, x.id) && x.state(s.now()) == "RUNNING" {
					x.cancelled = true
				}
			}
		}
		return map[string]any{}, nil
	})
}
