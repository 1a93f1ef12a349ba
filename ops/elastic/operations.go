package elastic

import (
	"encoding/json"
	"fmt"

	"twokey/ops"
)

// Operations are what can be changed in the clusters, keyed by environment.
func Operations(clusters map[string]Cluster) []ops.Operation {
	return []ops.Operation{drain{clusters, stall}, undrain{clusters}}
}

// Queries are what can be read from the clusters, keyed by environment.
func Queries(clusters map[string]Cluster) []ops.Query {
	return []ops.Query{healthQuery{clusters}, nodesQuery{clusters}, shardsQuery{clusters}}
}

// stepVersion is the version of all steps of this package.
const stepVersion = 1

// params are the parameters of a step, frozen in the plan.
func params(environment, uuid string, targets []target) map[string]string {
	b, err := json.Marshal(targets)
	if err != nil {
		panic(err) // strings always encode
	}
	return map[string]string{"environment": environment, "cluster": uuid, "nodes": string(b)}
}

// exclusionOf reads the parameters back.
func exclusionOf(clusters map[string]Cluster, ref ops.StepRef) (exclusion, error) {
	if ref.Version != stepVersion {
		return exclusion{}, fmt.Errorf("%w: %s version %d", ops.ErrUnknownStep, ref.Name, ref.Version)
	}
	c, err := Pick(clusters, ref.Params["environment"])
	if err != nil {
		return exclusion{}, err
	}
	x := exclusion{Cluster: c, uuid: ref.Params["cluster"]}
	if err := json.Unmarshal([]byte(ref.Params["nodes"]), &x.targets); err != nil {
		return exclusion{}, fmt.Errorf("step %s: nodes: %w", ref.Name, err)
	}
	return x, nil
}
