package awssim

import (
	"maps"
	"slices"
	"strings"
)

// Task is a running or pending task of a cluster.
type Task struct {
	Definition string // ARN of its task definition
	Image      string // reference of its container
	Digest     string // empty: not pulled yet
}

// Cluster is a simulated ECS cluster, as far as it names images.
type Cluster struct {
	Services map[string][]string // task definitions of a service's deployments, the primary first
	Tasks    []Task
}

// TaskDefinition is a simulated task definition.
type TaskDefinition struct {
	Images   []string
	Inactive bool
	TaskRole string   // ARN; empty: none
	Secrets  []string // what its first container reads
	Memory   int      // MiB that one task takes; zero: nothing is said
	tags     []map[string]string
}

// SetCluster makes or replaces a cluster; SetTaskDefinition a task definition, by
// "family:revision". It returns the ARN.
func (s *Sim) SetCluster(name string, c Cluster) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clusters[name] = c
}

// SetTaskDefinition makes or replaces a task definition.
func (s *Sim) SetTaskDefinition(name string, d TaskDefinition) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	arn := "arn:aws:ecs:" + s.region + ":" + s.account + ":task-definition/" + name
	s.definitions[arn] = d
	return arn
}

func (s *Sim) ecs() {
	prefix := "arn:aws:ecs:" + s.region + ":" + s.account + ":"
	last := func(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }
	s.json["ecs.ListClusters"] = on(func(struct{}) (any, *Fault) {
		arns := []string{}
		for _, n := range slices.Sorted(maps.Keys(s.clusters)) {
			arns = append(arns, prefix+"cluster/"+n)
		}
		return map[string]any{"clusterArns": arns}, nil
	})
	s.json["ecs.ListServices"] = on(func(in struct{ Cluster string }) (any, *Fault) {
		arns := []string{}
		for _, n := range slices.Sorted(maps.Keys(s.clusters[last(in.Cluster)].Services)) {
			arns = append(arns, prefix+"service/"+last(in.Cluster)+"/"+n)
		}
		return map[string]any{"serviceArns": arns}, nil
	})
	s.json["ecs.DescribeServices"] = on(func(in struct {
		Cluster  string
		Services []string
	}) (any, *Fault) {
		list := []map[string]any{}
		for _, arn := range in.Services {
			definitions := s.clusters[last(in.Cluster)].Services[last(arn)]
			deployments := []map[string]any{}
			for i, d := range definitions {
				deployments = append(deployments, map[string]any{"taskDefinition": d, "status": map[bool]string{true: "PRIMARY", false: "ACTIVE"}[i == 0]})
			}
			list = append(list, map[string]any{"serviceArn": arn, "serviceName": last(arn), "taskDefinition": definitions[0], "deployments": deployments})
		}
		return map[string]any{"services": list}, nil
	})
	s.json["ecs.ListTasks"] = on(func(in struct{ Cluster string }) (any, *Fault) {
		arns := []string{}
		for i := range s.clusters[last(in.Cluster)].Tasks {
			arns = append(arns, prefix+"task/"+last(in.Cluster)+"/"+string(rune('a'+i%26))+strings.Repeat("0", i/26))
		}
		return map[string]any{"taskArns": arns}, nil
	})
	s.json["ecs.DescribeTasks"] = on(func(in struct {
		Cluster string
		Tasks   []string
	}) (any, *Fault) {
		list := []map[string]any{}
		for _, t := range s.clusters[last(in.Cluster)].Tasks {
			c := map[string]any{"name": "app", "image": t.Image}
			if t.Digest != "" {
				c["imageDigest"] = t.Digest
			}
			list = append(list, map[string]any{"taskDefinitionArn": t.Definition, "containers": []any{c}})
		}
		return map[string]any{"tasks": list}, nil
	})
}
