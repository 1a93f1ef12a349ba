package awssim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Service is a simulated service that deploys: a rollout takes Rollout; a definition whose
// image has BadImage in it fails after half of that, and with Breaker the service goes back
// by itself.
type Service struct {
	Desired, Min, Max int // Min and Max of Application Auto Scaling; both zero: it has none
	Rollout           time.Duration
	BadImage          string
	Breaker           bool
	NoRoom            int // no more tasks than this can be placed; zero: no limit
	// Instances is the MiB left on each instance that it runs on; nil: it runs on Fargate.
	Instances []int
	Policies  [][2]string // names of scaling policies and of the alarms that set them off

	deployments []*ecsDeployment // the primary first
	past        []pastDeployment
	made        int
	scaledAt    time.Time
	was         int // tasks before the last change of Desired
}

// pastDeployment is one that the circuit breaker took back.
type pastDeployment struct {
	id    string
	began time.Time
}

type ecsDeployment struct {
	id, definition string
	began          time.Time
	failed         bool
	stopped        bool
}

// SetService makes a service that runs a definition, by CLUSTER/SERVICE.
func (s *Sim) SetService(name, definition string, v Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v.deployments = []*ecsDeployment{{id: "ecs-svc/0001", definition: definition, began: s.now().Add(-time.Hour)}}
	v.made, v.was = 1, v.Desired
	s.services[name] = &v
}

// ServiceState is the definition and the number of tasks of a service.
func (s *Sim) ServiceState(name string) (definition string, desired int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := s.services[name]
	s.advance(v)
	return v.deployments[0].definition, v.Desired
}

// Deploy makes a service run another definition, as somebody else would.
func (s *Sim) Deploy(name, definition string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.services[name].roll(s.now(), definition)
}

func (v *Service) roll(now time.Time, definition string) {
	if v.deployments[0].definition == definition {
		return
	}
	v.made++
	v.deployments = append([]*ecsDeployment{{id: fmt.Sprintf("ecs-svc/%04d", v.made), definition: definition, began: now}}, v.deployments...)
}

// advance lets time pass.
func (s *Sim) advance(v *Service) {
	d := v.deployments[0]
	if v.BadImage != "" && slices.ContainsFunc(s.definitions[d.definition].Images, func(i string) bool { return strings.Contains(i, v.BadImage) }) {
		if s.now().Sub(d.began) < v.Rollout/2 {
			return
		}
		d.failed = true
		if v.Breaker && len(v.deployments) > 1 {
			old := v.deployments[1].definition
			v.made++
			v.past = append(v.past, pastDeployment{d.id, d.began})
			v.deployments = []*ecsDeployment{{id: fmt.Sprintf("ecs-svc/%04d", v.made), definition: old, began: d.began.Add(v.Rollout / 2)}}
		}
		return
	}
	if s.now().Sub(d.began) >= v.Rollout {
		v.deployments = v.deployments[:1]
	}
}

func (s *Sim) describeService(arn, name string) map[string]any {
	v := s.services[name]
	s.advance(v)
	list := []map[string]any{}
	running := v.Desired
	if s.now().Sub(v.scaledAt) < 10*time.Second {
		running = v.was
	}
	if v.NoRoom > 0 {
		running = min(running, v.NoRoom)
	}
	for i, d := range v.deployments {
		status, state, run := "PRIMARY", "COMPLETED", running
		failed := 0
		if i > 0 {
			status, run = "ACTIVE", running
		} else if age := s.now().Sub(d.began); d.failed || age < v.Rollout {
			state, run = "IN_PROGRESS", min(int(int64(running)*int64(age)/max(int64(v.Rollout), 1)), running)
			if d.failed {
				run, failed = 0, 3
				if !v.Breaker {
					failed = int(age / time.Second)
				}
			}
		}
		list = append(list, map[string]any{"id": d.id, "status": status, "taskDefinition": d.definition, "desiredCount": v.Desired, "runningCount": run,
			"pendingCount": max(0, v.Desired-run), "failedTasks": failed, "rolloutState": state, "createdAt": float64(d.began.Unix())})
	}
	events := []any{}
	if v.NoRoom > 0 && v.Desired > v.NoRoom {
		events = append(events, map[string]any{"message": "(service " + name + ") was unable to place a task because no container instance met all of its requirements.", "createdAt": float64(s.now().Unix())})
	}
	launch := "FARGATE"
	if v.Instances != nil {
		launch = "EC2"
	}
	return map[string]any{
		"launchType": launch, "serviceArn": arn, "serviceName": name[strings.LastIndex(name, "/")+1:], "status": "ACTIVE", "taskDefinition": v.deployments[0].definition,
		"desiredCount": v.Desired, "runningCount": running, "deployments": list, "events": events,
		"deploymentConfiguration": map[string]any{"minimumHealthyPercent": 100, "maximumPercent": 200, "deploymentCircuitBreaker": map[string]any{"enable": v.Breaker, "rollback": v.Breaker}},
	}
}

// ecsServices adds services that deploy, beside those that only name images.
func (s *Sim) ecsServices() {
	prefix := "arn:aws:ecs:" + s.region + ":" + s.account + ":"
	last := func(arn string) string { return arn[strings.LastIndex(arn, "/")+1:] }
	describe := s.json["ecs.DescribeServices"]
	s.json["ecs.DescribeServices"] = func(body []byte) (any, *Fault) {
		var in struct {
			Cluster  string
			Services []string
		}
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, &Fault{Code: "SerializationException"}
		}
		list, failures := []any{}, []any{}
		for _, n := range in.Services {
			name := last(in.Cluster) + "/" + last(n)
			if s.services[name] == nil {
				if s.clusters[last(in.Cluster)].Services[last(n)] != nil {
					return describe(body)
				}
				failures = append(failures, map[string]any{"arn": n, "reason": "MISSING"})
				continue
			}
			list = append(list, s.describeService(prefix+"service/"+name, name))
		}
		return map[string]any{"services": list, "failures": failures}, nil
	}
	s.json["ecs.UpdateService"] = on(func(in struct {
		Cluster, Service, TaskDefinition string
		DesiredCount                     *int
	}) (any, *Fault) {
		name := last(in.Cluster) + "/" + last(in.Service)
		v := s.services[name]
		if v == nil {
			return nil, &Fault{Code: "ServiceNotFoundException", Message: "Service not found."}
		}
		s.advance(v)
		if in.TaskDefinition != "" {
			if _, ok := s.definitions[in.TaskDefinition]; !ok {
				return nil, &Fault{Code: "ClientException", Message: "TaskDefinition not found."}
			}
			v.roll(s.now(), in.TaskDefinition)
		}
		if in.DesiredCount != nil && *in.DesiredCount != v.Desired {
			v.was, v.Desired, v.scaledAt = v.Desired, *in.DesiredCount, s.now()
		}
		return map[string]any{"service": s.describeService(prefix+"service/"+name, name)}, nil
	})
	s.json["ecs.RegisterTaskDefinition"] = on(func(in struct {
		Family               string
		ContainerDefinitions []struct{ Image string }
		Tags                 []map[string]string
	}) (any, *Fault) {
		n := 1
		for arn := range s.definitions {
			var have int
			if family, revision, _ := strings.Cut(last(arn), ":"); family == in.Family {
				if _, err := fmt.Sscan(revision, &have); err == nil {
					n = max(n, have+1)
				}
			}
		}
		arn := fmt.Sprintf("%stask-definition/%s:%d", prefix, in.Family, n)
		d := TaskDefinition{tags: in.Tags}
		for _, c := range in.ContainerDefinitions {
			d.Images = append(d.Images, c.Image)
		}
		s.definitions[arn] = d
		return map[string]any{"taskDefinition": map[string]any{"taskDefinitionArn": arn, "family": in.Family}}, nil
	})
	s.json["ecs.DescribeTaskDefinition"] = on(func(in struct{ TaskDefinition string }) (any, *Fault) {
		d, ok := s.definitions[in.TaskDefinition]
		if !ok {
			return nil, &Fault{Code: "ClientException", Message: "Unable to describe task definition."}
		}
		containers := []map[string]any{}
		for i, image := range d.Images {
			containers = append(containers, map[string]any{"name": []string{"app", "sidecar", "third"}[i], "image": image})
		}
		if len(containers) > 0 {
			var secrets []any
			for i, ref := range d.Secrets {
				secrets = append(secrets, map[string]any{"name": fmt.Sprint("S", i), "valueFrom": ref})
			}
			containers[0]["secrets"], containers[0]["memory"] = secrets, d.Memory
		}
		family, _, _ := strings.Cut(last(in.TaskDefinition), ":")
		return map[string]any{"taskDefinition": map[string]any{"taskDefinitionArn": in.TaskDefinition, "family": family, "containerDefinitions": containers, "taskRoleArn": d.TaskRole}, "tags": d.tags}, nil
	})
	s.json["ecs.ListTaskDefinitions"] = on(func(in struct{ FamilyPrefix, Sort string }) (any, *Fault) {
		arns := []string{}
		for _, arn := range slices.Sorted(maps.Keys(s.definitions)) {
			family, _, _ := strings.Cut(last(arn), ":")
			if !s.definitions[arn].Inactive && (in.FamilyPrefix == "" || family == in.FamilyPrefix) {
				arns = append(arns, arn)
			}
		}
		if in.Sort == "DESC" {
			slices.Reverse(arns)
		}
		return map[string]any{"taskDefinitionArns": arns}, nil
	})
	tasks := s.json["ecs.ListTasks"]
	s.json["ecs.ListTasks"] = func(body []byte) (any, *Fault) {
		var in struct{ Cluster, ServiceName, DesiredStatus string }
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, &Fault{Code: "SerializationException"}
		}
		if s.services[last(in.Cluster)+"/"+in.ServiceName] == nil {
			return tasks(body)
		}
		return map[string]any{"taskArns": []string{prefix + "task/" + last(in.Cluster) + "/" + in.ServiceName + "-" + in.DesiredStatus}}, nil
	}
	read := s.json["ecs.DescribeTasks"]
	s.json["ecs.DescribeTasks"] = func(body []byte) (any, *Fault) {
		var in struct {
			Cluster string
			Tasks   []string
		}
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, &Fault{Code: "SerializationException"}
		}
		name, stopped := strings.CutSuffix(last(in.Tasks[0]), "-STOPPED")
		v := s.services[last(in.Cluster)+"/"+strings.TrimSuffix(name, "-")]
		if v == nil {
			return read(body)
		}
		definition := v.deployments[0].definition
		if stopped {
			for arn, d := range s.definitions {
				if v.BadImage != "" && slices.ContainsFunc(d.Images, func(i string) bool { return strings.Contains(i, v.BadImage) }) {
					return map[string]any{"tasks": []any{map[string]any{"taskDefinitionArn": arn, "stoppedReason": "Essential container in task exited", "containers": []any{map[string]any{"name": "app", "exitCode": 137}}}}}, nil
				}
			}
			return map[string]any{"tasks": []any{}}, nil
		}
		_, digest, _ := strings.Cut(s.definitions[definition].Images[0], "@")
		return map[string]any{"tasks": []any{map[string]any{"taskArn": in.Tasks[0], "taskDefinitionArn": definition, "containers": []any{map[string]any{"name": "app", "imageDigest": digest}}}}}, nil
	}
	s.json["ecs.ListServiceDeployments"] = on(func(in struct {
		Cluster, Service string
		Status           []string
		CreatedAt        struct{ After float64 }
	}) (any, *Fault) {
		v := s.services[last(in.Cluster)+"/"+last(in.Service)]
		if v == nil {
			return nil, &Fault{Code: "ServiceNotFoundException"}
		}
		s.advance(v)
		list := []any{}
		add := func(id, status string, began time.Time) {
			if (len(in.Status) == 0 || slices.Contains(in.Status, status)) && float64(began.Unix()) >= in.CreatedAt.After {
				list = append(list, map[string]any{"serviceDeploymentArn": id, "status": status, "createdAt": began.Unix()})
			}
		}
		if d := v.deployments[0]; len(v.deployments) > 1 && !d.stopped {
			add(d.id, "IN_PROGRESS", d.began)
		}
		for _, d := range v.past {
			add(d.id, "ROLLBACK_SUCCESSFUL", d.began)
		}
		return map[string]any{"serviceDeployments": list}, nil
	})
	s.json["ecs.StopServiceDeployment"] = on(func(in struct{ ServiceDeploymentArn string }) (any, *Fault) {
		for _, v := range s.services {
			if d := v.deployments[0]; d.id == in.ServiceDeploymentArn && len(v.deployments) > 1 {
				old := v.deployments[1].definition
				v.made++
				v.deployments = []*ecsDeployment{{id: fmt.Sprintf("ecs-svc/%04d", v.made), definition: old, began: s.now()}}
			}
		}
		return map[string]any{"serviceDeploymentArn": in.ServiceDeploymentArn}, nil
	})
	s.json["application-autoscaling.DescribeScalableTargets"] = on(func(in struct{ ResourceIds []string }) (any, *Fault) {
		list := []any{}
		for _, id := range in.ResourceIds {
			if v := s.services[strings.TrimPrefix(id, "service/")]; v != nil && v.Max > 0 {
				list = append(list, map[string]any{"ServiceNamespace": "ecs", "ResourceId": id, "ScalableDimension": "ecs:service:DesiredCount", "MinCapacity": v.Min, "MaxCapacity": v.Max, "RoleARN": "r", "CreationTime": 1})
			}
		}
		return map[string]any{"ScalableTargets": list}, nil
	})
	s.json["application-autoscaling.RegisterScalableTarget"] = on(func(in struct {
		ResourceID  string `json:"ResourceId"`
		MinCapacity int
		MaxCapacity int
	}) (any, *Fault) {
		if v := s.services[strings.TrimPrefix(in.ResourceID, "service/")]; v != nil {
			v.Min, v.Max = in.MinCapacity, in.MaxCapacity
		}
		return map[string]any{}, nil
	})
}
