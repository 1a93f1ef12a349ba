package awssim

import (
	"fmt"
	"net/http"
	"strings"
)

// SetRole makes a role of IAM, by name.
func (s *Sim) SetRole(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.roles[name] = true
}

// getRole answers iam:GetRole.
func (s *Sim) getRole(w http.ResponseWriter, r *http.Request) *Fault {
	name := r.PostForm.Get("RoleName")
	if !s.roles[name] {
		return &Fault{Status: http.StatusNotFound, Code: "NoSuchEntity", Message: "The role with name " + name + " cannot be found."}
	}
	write(w, http.StatusOK, "https://iam.amazonaws.com/doc/2010-05-08/", "GetRole", struct {
		RoleName string `xml:"Role>RoleName"`
		Arn      string `xml:"Role>Arn"`
	}{name, "arn:aws:iam::" + s.account + ":role/" + name})
	return nil
}

// needs adds what the tasks of a definition need beside its images.
func (s *Sim) needs() {
	s.json["secretsmanager.DescribeSecret"] = on(func(in struct {
		SecretID string `json:"SecretId"`
	}) (any, *Fault) {
		if _, ok := s.values["secret:"+in.SecretID]; !ok {
			return nil, &Fault{Code: "ResourceNotFoundException", Message: "Secrets Manager can't find the specified secret."}
		}
		return map[string]any{"ARN": in.SecretID}, nil
	})
	s.json["ssm.DescribeParameters"] = on(func(in struct {
		ParameterFilters []struct {
			Key    string
			Values []string
		}
	}) (any, *Fault) {
		list := []any{}
		for _, f := range in.ParameterFilters {
			for _, name := range f.Values {
				if _, ok := s.values["ssm:"+name]; ok && f.Key == "Name" {
					list = append(list, map[string]any{"Name": name})
				}
			}
		}
		return map[string]any{"Parameters": list}, nil
	})
	// All services of a cluster that run on instances share them.
	instances := func(cluster string) []int {
		for name, v := range s.services {
			if strings.HasPrefix(name, cluster+"/") && v.Instances != nil {
				return v.Instances
			}
		}
		return nil
	}
	s.json["ecs.ListContainerInstances"] = on(func(in struct{ Cluster string }) (any, *Fault) {
		arns := []string{}
		for i := range instances(in.Cluster) {
			arns = append(arns, fmt.Sprintf("arn:aws:ecs:%s:%s:container-instance/%s/%d", s.region, s.account, in.Cluster, i))
		}
		return map[string]any{"containerInstanceArns": arns}, nil
	})
	s.json["ecs.DescribeContainerInstances"] = on(func(in struct{ Cluster string }) (any, *Fault) {
		list := []any{}
		for _, left := range instances(in.Cluster) {
			list = append(list, map[string]any{"remainingResources": []any{
				map[string]any{"name": "CPU", "type": "INTEGER", "integerValue": 1024}, map[string]any{"name": "MEMORY", "type": "INTEGER", "integerValue": left},
			}})
		}
		return map[string]any{"containerInstances": list}, nil
	})
	s.json["application-autoscaling.DescribeScalingPolicies"] = on(func(in struct {
		ResourceID string `json:"ResourceId"`
	}) (any, *Fault) {
		list := []any{}
		if v := s.services[strings.TrimPrefix(in.ResourceID, "service/")]; v != nil {
			for _, p := range v.Policies {
				list = append(list, map[string]any{"PolicyName": p[0], "Alarms": []any{map[string]any{"AlarmName": p[1]}}})
			}
		}
		return map[string]any{"ScalingPolicies": list}, nil
	})
}
