package deploy

import (
	"strings"
	"testing"
)

func TestSession(t *testing.T) {
	for _, tt := range []struct {
		caller            Caller
		environment, want string
	}{
		{Caller{}, "prod", "twokey-prod"},
		{Caller{}, "eu west/1é", "twokey-eu-west-1-"},
		{Caller{}, strings.Repeat("x", 99), "twokey-" + strings.Repeat("x", 57)},
		{Caller{User: "U0ALICE", Run: "01KB3JQX2N9Y8Z7V6T5S4R3Q2P"}, "prod", "U0ALICE-01KB3JQX2N9Y8Z7V6T5S4R3Q2P"},
	} {
		if got := tt.caller.session(tt.environment); got != tt.want {
			t.Errorf("%+v in %s: %q, want %q", tt.caller, tt.environment, got, tt.want)
		}
	}
}
