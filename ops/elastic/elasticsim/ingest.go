package elasticsim

import "net/http"

// pipeline is an ingest pipeline. Of its processors only set, with a field at the top of the
// document, is carried out; one with others is refused.
type pipeline struct {
	definition object
	sets       []object // of the processors
}

func putPipeline(r *request) answer {
	body, f := r.object()
	if f != nil {
		return f.answer()
	}
	p := &pipeline{definition: body}
	processors, _ := body.get("processors").(list)
	for _, one := range processors {
		o, _ := one.(object)
		for _, m := range o {
			set, ok := m.value.(object)
			if m.name != "set" || !ok {
				return unsupported("processor [" + m.name + "]").answer()
			}
			p.sets = append(p.sets, set)
		}
	}
	r.cluster.pipelines[r.path["id"]] = p
	return answer{value: object{{"acknowledged", true}}}
}

func getPipeline(r *request) answer {
	p, ok := r.cluster.pipelines[r.path["id"]]
	if !ok {
		return answer{status: http.StatusNotFound, value: object{}}
	}
	return answer{value: object{{r.path["id"], p.definition}}}
}

func deletePipeline(r *request) answer {
	if _, ok := r.cluster.pipelines[r.path["id"]]; !ok {
		return (&failure{status: http.StatusNotFound, kind: "resource_not_found_exception", reason: "pipeline [" + r.path["id"] + "] is missing"}).answer()
	}
	delete(r.cluster.pipelines, r.path["id"])
	return answer{value: object{{"acknowledged", true}}}
}

// ingest sends a document through a pipeline; empty and _none: through none.
func (c *Cluster) ingest(name string, op *operation) *failure {
	if name == "" || name == "_none" || op.kind != "index" && op.kind != "create" {
		return nil
	}
	p, ok := c.pipelines[name]
	if !ok {
		return illegalFailure("pipeline with id [%s] does not exist", name)
	}
	document, err := parseObject(op.source)
	if err != nil {
		return nil // the mapping refuses it
	}
	for _, set := range p.sets {
		document = document.with(scalarText(set.get("field")), set.get("value"))
	}
	op.source = encode(document, false)
	return nil
}
