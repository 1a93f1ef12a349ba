package awssim

import (
	"net/http"
	"strings"
	"time"
)

type identityResult struct {
	UserID  string `xml:"UserId"`
	Account string
	Arn     string
}

type roleResult struct {
	AccessKeyID     string `xml:"Credentials>AccessKeyId"`
	SecretAccessKey string `xml:"Credentials>SecretAccessKey"`
	SessionToken    string `xml:"Credentials>SessionToken"`
	Expiration      string `xml:"Credentials>Expiration"`
	Arn             string `xml:"AssumedRoleUser>Arn"`
	AssumedRoleID   string `xml:"AssumedRoleUser>AssumedRoleId"`
}

// assumedToken is the session token of credentials got by AssumeRole; the session's
// ARN follows it.
const assumedToken = "assumed "

// callerIdentity names the user twokey, or the role assumed.
func (s *Sim) callerIdentity(w http.ResponseWriter, r *http.Request) {
	arn := "arn:aws:iam::" + s.account + ":user/twokey"
	if session, ok := strings.CutPrefix(r.Header.Get("X-Amz-Security-Token"), assumedToken); ok {
		arn = session
	}
	write(w, http.StatusOK, stsNS, "GetCallerIdentity", identityResult{"AIDAEXAMPLE", s.account, arn})
}

// assumeRole grants every role of the account, and no other.
func (s *Sim) assumeRole(w http.ResponseWriter, r *http.Request) *Fault {
	role, session := r.PostForm.Get("RoleArn"), r.PostForm.Get("RoleSessionName")
	name, ok := strings.CutPrefix(role, "arn:aws:iam::"+s.account+":role/")
	if !ok {
		return &Fault{Status: http.StatusForbidden, Code: "AccessDenied", Message: "User: arn:aws:iam::" + s.account +
			":user/twokey is not authorized to perform: sts:AssumeRole on resource: " + role}
	}
	arn := "arn:aws:sts::" + s.account + ":assumed-role/" + name + "/" + session
	write(w, http.StatusOK, stsNS, "AssumeRole", roleResult{
		AccessKeyID: "ASIAEXAMPLE", SecretAccessKey: "simulated", SessionToken: assumedToken + arn,
		Expiration: stamp(s.now().Add(time.Hour)), Arn: arn, AssumedRoleID: "AROAEXAMPLE:" + session,
	})
	return nil
}
