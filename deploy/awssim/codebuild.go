package awssim

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// build is a simulated build: it takes a minute, pushes IMAGE_REPO:IMAGE_TAG halfway, and
// fails if its project's name contains "broken".
type build struct {
	id, project, version, token string
	variables                   []map[string]any
	began                       time.Time
	stopped                     time.Time
	pushed                      bool
}

const buildTime = time.Minute

// SetProject makes a project of CodeBuild, whose builds read variables: name, type and value.
func (s *Sim) SetProject(name string, variables ...[3]string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.projects[name] = []map[string]any{}
	for _, v := range variables {
		s.projects[name] = append(s.projects[name], map[string]any{"name": v[0], "type": v[1], "value": v[2]})
	}
}

func (b *build) variable(name string) string {
	for _, v := range b.variables {
		if v["name"] == name {
			return fmt.Sprint(v["value"])
		}
	}
	return ""
}

// push puts the image into the registry when its time has come.
func (s *Sim) push(b *build) {
	at := b.began.Add(buildTime / 2)
	r := s.registries[b.variable("IMAGE_REPO")]
	if b.pushed || r == nil || s.now().Before(at) || !b.stopped.IsZero() && b.stopped.Before(at) || strings.Contains(b.project, "broken") {
		return
	}
	b.pushed = true
	r.Images = append(r.Images, Image{Digest: digestOf(b.version + b.variable("IMAGE_REPO")), Tags: []string{b.variable("IMAGE_TAG")}, Pushed: at})
}

func digestOf(text string) string { return fmt.Sprintf("sha256:%064x", text)[:71] }

func (s *Sim) codebuild() {
	describe := func(b *build) map[string]any {
		status, phase := "IN_PROGRESS", "BUILD"
		out := map[string]any{"id": b.id, "projectName": b.project, "startTime": float64(b.began.Unix()), "environment": map[string]any{"environmentVariables": b.variables}}
		switch {
		case !b.stopped.IsZero():
			status, phase = "STOPPED", "COMPLETED"
		case s.now().Sub(b.began) < buildTime:
		case strings.Contains(b.project, "broken"):
			status, phase = "FAILED", "COMPLETED"
			out["phases"] = []any{map[string]any{"phaseType": "BUILD", "phaseStatus": "FAILED", "contexts": []any{map[string]any{"statusCode": "COMMAND_EXECUTION_ERROR", "message": "docker build: exit status 1"}}}}
		default:
			status, phase = "SUCCEEDED", "COMPLETED"
			out["exportedEnvironmentVariables"] = []any{map[string]any{"name": "IMAGE_DIGEST", "value": digestOf(b.version + b.variable("IMAGE_REPO"))}}
		}
		out["buildStatus"], out["currentPhase"], out["buildComplete"] = status, phase, status != "IN_PROGRESS"
		out["logs"] = map[string]any{"groupName": "/aws/codebuild/" + b.project, "streamName": b.id}
		return out
	}
	s.json["codebuild.BatchGetProjects"] = on(func(in struct{ Names []string }) (any, *Fault) {
		list := []any{}
		for _, name := range in.Names {
			if variables, ok := s.projects[name]; ok {
				list = append(list, map[string]any{"name": name, "environment": map[string]any{"environmentVariables": variables}})
			}
		}
		return map[string]any{"projects": list}, nil
	})
	s.json["codebuild.StartBuild"] = on(func(in struct {
		ProjectName, SourceVersion, IdempotencyToken string
		EnvironmentVariablesOverride                 []map[string]any
	}) (any, *Fault) {
		for _, b := range s.builds {
			if b.token == in.IdempotencyToken && s.now().Sub(b.began) < 5*time.Minute {
				return map[string]any{"build": describe(b)}, nil
			}
		}
		s.made++
		b := &build{id: fmt.Sprintf("%s:%08d", in.ProjectName, s.made), project: in.ProjectName, version: in.SourceVersion, token: in.IdempotencyToken,
			variables: in.EnvironmentVariablesOverride, began: s.now()}
		s.builds = append(s.builds, b)
		return map[string]any{"build": describe(b)}, nil
	})
	s.json["codebuild.ListBuildsForProject"] = on(func(in struct{ ProjectName string }) (any, *Fault) {
		ids := []string{}
		for _, b := range slices.Backward(s.builds) {
			if b.project == in.ProjectName {
				ids = append(ids, b.id)
			}
		}
		return map[string]any{"ids": ids}, nil
	})
	s.json["codebuild.BatchGetBuilds"] = on(func(in struct {
		IDs []string `json:"ids"`
	}) (any, *Fault) {
		list := []any{}
		for _, b := range s.builds {
			if slices.Contains(in.IDs, b.id) {
				s.push(b)
				list = append(list, describe(b))
			}
		}
		return map[string]any{"builds": list}, nil
	})
	s.json["codebuild.StopBuild"] = on(func(in struct {
		ID string `json:"id"`
	}) (any, *Fault) {
		for _, b := range s.builds {
			if b.id == in.ID {
				s.push(b)
				if s.now().Sub(b.began) < buildTime {
					b.stopped = s.now()
				}
				return map[string]any{"build": describe(b)}, nil
			}
		}
		return nil, &Fault{Code: "ResourceNotFoundException"}
	})
	s.json["logs.GetLogEvents"] = on(func(in struct{ LogStreamName string }) (any, *Fault) {
		return map[string]any{"events": []any{map[string]any{"message": "Step 3/9 : RUN npm ci", "timestamp": 1}}}, nil
	})
}

// Builds is how many builds there were.
func (s *Sim) Builds() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.builds)
}
