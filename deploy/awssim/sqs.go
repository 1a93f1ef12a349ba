package awssim

import (
	"fmt"
	"maps"
	"strings"
)

// Queue is a simulated queue.
type Queue struct {
	Attributes map[string]string
	Waiting    func() int // messages; nil: none
	Made       int        // how often it was made
	Tags       map[string]string
}

// SetQueue makes or replaces a queue. Queues are those there are.
func (s *Sim) SetQueue(name string, q Queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queues[name] = &q
}

// Queue is a queue; nil: there is none.
func (s *Sim) Queue(name string) *Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queues[name]
}

func (s *Sim) sqs() {
	url := func(name string) string {
		return "https://sqs." + s.region + ".amazonaws.com/" + s.account + "/" + name
	}
	name := func(u string) string { return u[strings.LastIndex(u, "/")+1:] }
	absent := &Fault{Code: "AWS.SimpleQueueService.NonExistentQueue", Message: "The specified queue does not exist."}
	s.json["sqs.GetQueueUrl"] = on(func(in struct{ QueueName string }) (any, *Fault) {
		if s.queues[in.QueueName] == nil {
			return nil, absent
		}
		return map[string]any{"QueueUrl": url(in.QueueName)}, nil
	})
	s.json["sqs.CreateQueue"] = on(func(in struct {
		QueueName  string
		Attributes map[string]string
		Tags       map[string]string `json:"tags"`
	}) (any, *Fault) {
		if q := s.queues[in.QueueName]; q != nil {
			for k, v := range in.Attributes {
				if q.Attributes[k] != v {
					return nil, &Fault{Code: "QueueNameExists", Message: "A queue already exists with the same name and a different value for attribute " + k}
				}
			}
			return map[string]any{"QueueUrl": url(in.QueueName)}, nil
		}
		q := &Queue{Attributes: maps.Clone(in.Attributes), Made: 1, Tags: in.Tags}
		if q.Attributes == nil {
			q.Attributes = map[string]string{}
		}
		s.queues[in.QueueName] = q
		return map[string]any{"QueueUrl": url(in.QueueName)}, nil
	})
	s.json["sqs.GetQueueAttributes"] = on(func(in struct {
		QueueURL string `json:"QueueUrl"`
	}) (any, *Fault) {
		q := s.queues[name(in.QueueURL)]
		if q == nil {
			return nil, absent
		}
		a := maps.Clone(q.Attributes)
		if a == nil {
			a = map[string]string{}
		}
		n := 0
		if q.Waiting != nil {
			n = q.Waiting()
		}
		a["ApproximateNumberOfMessages"], a["QueueArn"] = fmt.Sprint(n), "arn:aws:sqs:"+s.region+":"+s.account+":"+name(in.QueueURL)
		return map[string]any{"Attributes": a}, nil
	})
	s.json["sqs.ListQueueTags"] = on(func(in struct {
		QueueURL string `json:"QueueUrl"`
	}) (any, *Fault) {
		q := s.queues[name(in.QueueURL)]
		if q == nil {
			return nil, absent
		}
		return map[string]any{"Tags": q.Tags}, nil
	})
	s.json["sqs.DeleteQueue"] = on(func(in struct {
		QueueURL string `json:"QueueUrl"`
	}) (any, *Fault) {
		delete(s.queues, name(in.QueueURL))
		return map[string]any{}, nil
	})
}
