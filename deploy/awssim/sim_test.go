package awssim

import (
	"encoding/xml"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// call sends one request of the query protocol, with an unchecked signature.
func call(s *Sim, form url.Values) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=test")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w
}

func TestRefusals(t *testing.T) {
	s := New(Options{})
	tests := []struct {
		form url.Values
		code string
	}{
		{url.Values{"Action": {"CreateStack"}}, "InvalidAction"},
		{url.Values{"Action": {"DescribeStacks"}, "StackName": {"none"}}, "ValidationError"},
		{url.Values{"Action": {"DescribeStacks"}, "StackName": {"old-web"}}, "ValidationError"}, // deleted: by ARN only
		{url.Values{"Action": {"DescribeStackEvents"}, "StackName": {"web"}, "NextToken": {"forged"}}, "ValidationError"},
		{url.Values{"Action": {"ListStacks"}, "NextToken": {token(99)}}, "ValidationError"},
		{url.Values{"Action": {"AssumeRole"}, "RoleArn": {"arn:aws:iam::999999999999:role/x"}}, "AccessDenied"},
	}
	for _, tt := range tests {
		w := call(s, tt.form)
		var doc struct{ Error struct{ Code string } }
		if err := xml.Unmarshal(w.Body.Bytes(), &doc); err != nil || w.Code < 400 || doc.Error.Code != tt.code {
			t.Errorf("%v: %d %q, %v; want code %s", tt.form, w.Code, doc.Error.Code, err, tt.code)
		}
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", nil))
	if w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "MissingAuthenticationToken") {
		t.Errorf("without a signature: %d %s", w.Code, w.Body)
	}
}

func TestListStacksFilter(t *testing.T) {
	s := New(Options{})
	body := call(s, url.Values{"Action": {"ListStacks"}, "StackStatusFilter.member.1": {"ROLLBACK_COMPLETE"}, "StackStatusFilter.member.2": {"UPDATE_IN_PROGRESS"}}).Body.String()
	for name, want := range map[string]bool{"checkout": true, "search": true, "web": false, "old-web": false} {
		if got := strings.Contains(body, "<StackName>"+name+"</StackName>"); got != want {
			t.Errorf("%s listed: %v, want %v", name, got, want)
		}
	}
}

// Pages join without a gap or a repetition although events happen in between.
func TestEventPagesWhileEventsHappen(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	s := New(Options{Now: func() time.Time { return now }, PageSize: 2})
	var ids []string
	next := ""
	for range 10 {
		form := url.Values{"Action": {"DescribeStackEvents"}, "StackName": {"search"}}
		if next != "" {
			form.Set("NextToken", next)
		}
		var doc struct {
			IDs  []string `xml:"DescribeStackEventsResult>StackEvents>member>EventId"`
			Next string   `xml:"DescribeStackEventsResult>NextToken"`
		}
		if err := xml.Unmarshal(call(s, form).Body.Bytes(), &doc); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, doc.IDs...)
		if next = doc.Next; next == "" {
			break
		}
		now = now.Add(5 * time.Minute)
	}
	want := []string{"ZoneA-UPDATE_IN_PROGRESS-000003", "search-UPDATE_IN_PROGRESS-000002", "search-CREATE_COMPLETE-000001", "search-CREATE_IN_PROGRESS-000000"}
	if strings.Join(ids, " ") != strings.Join(want, " ") {
		t.Errorf("events = %q\nwant     %q", ids, want)
	}
}

func TestFail(t *testing.T) {
	s := New(Options{})
	s.Fail("DescribeStacks", 2, Throttled)
	for i, want := range []int{400, 400, 200} {
		if w := call(s, url.Values{"Action": {"DescribeStacks"}}); w.Code != want {
			t.Errorf("call %d: %d, want %d", i+1, w.Code, want)
		}
	}
	if n := s.Calls("DescribeStacks"); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
}
