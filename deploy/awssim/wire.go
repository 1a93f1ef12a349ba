package awssim

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// The XML below is that of the API version 2010-05-15, as far as it is simulated.

type describeResult struct {
	Stacks    []stackXML `xml:"Stacks>member"`
	NextToken string     `xml:"NextToken,omitempty"`
}

type stackXML struct {
	StackID                     string `xml:"StackId"`
	StackName                   string
	Description                 string `xml:",omitempty"`
	CreationTime                string
	LastUpdatedTime             string `xml:",omitempty"`
	DeletionTime                string `xml:",omitempty"`
	StackStatus                 string
	StackStatusReason           string         `xml:",omitempty"`
	ParentID                    string         `xml:"ParentId,omitempty"`
	RootID                      string         `xml:"RootId,omitempty"`
	EnableTerminationProtection bool           `xml:"EnableTerminationProtection"`
	DisableRollback             bool           `xml:"DisableRollback"`
	DriftStatus                 string         `xml:"DriftInformation>StackDriftStatus"`
	Parameters                  []parameterXML `xml:"Parameters>member"`
	Outputs                     []outputXML    `xml:"Outputs>member"`
	Tags                        []tagXML       `xml:"Tags>member"`
}

type parameterXML struct {
	ParameterKey   string
	ParameterValue string
	ResolvedValue  string `xml:",omitempty"`
}

type outputXML struct {
	OutputKey   string
	OutputValue string
	Description string `xml:",omitempty"`
	ExportName  string `xml:",omitempty"`
}

type tagXML struct{ Key, Value string }

type eventsResult struct {
	Events    []eventXML `xml:"StackEvents>member"`
	NextToken string     `xml:"NextToken,omitempty"`
}

type eventXML struct {
	StackID              string `xml:"StackId"`
	EventID              string `xml:"EventId"`
	StackName            string
	LogicalResourceID    string `xml:"LogicalResourceId"`
	PhysicalResourceID   string `xml:"PhysicalResourceId"`
	ResourceType         string
	Timestamp            string
	ResourceStatus       string
	ResourceStatusReason string `xml:",omitempty"`
	ClientRequestToken   string `xml:",omitempty"`
}

type listResult struct {
	Summaries []summaryXML `xml:"StackSummaries>member"`
	NextToken string       `xml:"NextToken,omitempty"`
}

type summaryXML struct {
	StackID      string `xml:"StackId"`
	StackName    string
	CreationTime string
	DeletionTime string `xml:",omitempty"`
	StackStatus  string
}

func (s *Sim) stackXML(st Stack) stackXML {
	now := s.now()
	x := stackXML{
		StackID: st.ID, StackName: st.Name, Description: st.Description,
		CreationTime:                stamp(st.when("CREATE_IN_PROGRESS", now)),
		LastUpdatedTime:             stamp(st.when("UPDATE_IN_PROGRESS", now)),
		DeletionTime:                stamp(st.when("DELETE_COMPLETE", now)),
		ParentID:                    st.Parent,
		RootID:                      st.Parent,
		EnableTerminationProtection: st.Protected,
		DriftStatus:                 st.Drift,
	}
	if x.DriftStatus == "" {
		x.DriftStatus = "NOT_CHECKED"
	}
	if x.CreationTime == "" { // only a change set was made so far
		x.CreationTime = stamp(st.when("REVIEW_IN_PROGRESS", now))
	}
	x.StackStatus, x.StackStatusReason = st.at(now)
	for _, p := range st.Parameters {
		if p.NoEcho {
			p.Value = "****"
		}
		x.Parameters = append(x.Parameters, parameterXML{p.Key, p.Value, p.Resolved})
	}
	for _, o := range st.Outputs {
		x.Outputs = append(x.Outputs, outputXML{o.Key, o.Value, o.Description, o.Export})
	}
	for _, t := range st.Tags {
		x.Tags = append(x.Tags, tagXML(t))
	}
	return x
}

func eventXMLOf(st Stack, i int) eventXML {
	e := st.Events[i]
	return eventXML{
		StackID: st.ID, StackName: st.Name,
		EventID:           fmt.Sprintf("%s-%s-%06d", e.Logical, e.Status, i),
		LogicalResourceID: e.Logical, PhysicalResourceID: e.Physical,
		ResourceType: e.Type, Timestamp: stamp(e.At),
		ResourceStatus: e.Status, ResourceStatusReason: e.Reason, ClientRequestToken: e.Token,
	}
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}

const (
	cloudFormationNS = "http://cloudformation.amazonaws.com/doc/2010-05-15/"
	stsNS            = "https://sts.amazonaws.com/doc/2011-06-15/"
	requestID        = "b9b4b068-3a41-11e5-94eb-example"
)

// answer writes the result of an action of CloudFormation.
func answer(w http.ResponseWriter, action string, result any) {
	write(w, http.StatusOK, cloudFormationNS, action, result)
}

// write writes a response document of the query protocol.
func write(w http.ResponseWriter, status int, namespace, action string, result any) {
	var text strings.Builder
	if err := xml.NewEncoder(&text).EncodeElement(result, xml.StartElement{Name: xml.Name{Local: "Result"}}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	body := text.String()
	// The result's element is named after the action and not after its Go type.
	_, inside, _ := strings.Cut(body, ">")
	inside = inside[:strings.LastIndex(inside, "</")]
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	fmt.Fprintf(w, `<%[1]sResponse xmlns="%[2]s"><%[1]sResult>%[3]s</%[1]sResult><ResponseMetadata><RequestId>%[4]s</RequestId></ResponseMetadata></%[1]sResponse>`,
		action, namespace, inside, requestID)
}

// refuse writes an error document.
func refuse(w http.ResponseWriter, f Fault) {
	status, kind := f.Status, "Sender"
	if status == 0 {
		status = http.StatusBadRequest
	}
	if status >= 500 {
		kind = "Receiver"
	}
	w.Header().Set("Content-Type", "text/xml")
	w.WriteHeader(status)
	var message strings.Builder
	_ = xml.EscapeText(&message, []byte(f.Message)) // a strings.Builder does not fail
	fmt.Fprintf(w, `<ErrorResponse xmlns="%s"><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>`,
		cloudFormationNS, kind, f.Code, message.String(), requestID)
}
