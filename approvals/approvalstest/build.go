package approvalstest

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/oklog/ulid/v2"

	"twokey/approvals"
)

// NewRequest returns a pending request of its own id and trigger: U0ASKER wants an R2
// in prod, one of U0LEAD and S0SRE must agree within an hour.
func NewRequest(with ...func(*approvals.Request)) approvals.Request {
	id := ulid.Make().String()
	now := time.Now().UTC().Truncate(time.Millisecond)
	r := approvals.Request{
		ID:          id,
		Trigger:     "trigger-" + id,
		Environment: "prod",
		Class:       "R2",
		Title:       "Drain n3 in prod",
		Digest:      "d1",
		Sealed:      json.RawMessage(`{}`),
		Requester:   "U0ASKER",
		Rule:        approvals.Rule{Quorum: 1, Groups: []string{"S0SRE"}, Users: []string{"U0LEAD"}, Expires: time.Hour},
		State:       approvals.Pending,
		CreatedAt:   now,
		ExpiresAt:   now.Add(time.Hour),
	}
	for _, f := range with {
		f(&r)
	}
	return r
}

// Create stores a NewRequest.
func Create(t testing.TB, s approvals.Store, with ...func(*approvals.Request)) approvals.Request {
	t.Helper()
	r, fresh, err := s.Create(t.Context(), NewRequest(with...))
	if err != nil || !fresh {
		t.Fatalf("create a request: %v, fresh %v", err, fresh)
	}
	return r
}

// spell writes JSON in one way of the many it may have.
func spell(t *testing.T, src json.RawMessage) json.RawMessage {
	t.Helper()
	var v any
	if err := json.Unmarshal(src, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
