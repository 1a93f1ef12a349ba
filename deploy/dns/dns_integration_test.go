//go:build integration

package dns

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/route53"
	"github.com/aws/aws-sdk-go-v2/service/route53/types"
	"github.com/miekg/dns"

	"twokey/deploy/deploytest"
	"twokey/ops"
)

func TestMain(m *testing.M) { deploytest.Main(m, "dns show", "dns switch") }

// TestEmulatedSwitch switches a record of an emulated Route 53 to an instance found by its
// Name tag, and back. A DNS server on loopback answers what the zone says.
func TestEmulatedSwitch(t *testing.T) {
	const region = "sa-east-1"
	account, _ := deploytest.Emulated(t, region, nil)
	names := route53.NewFromConfig(deploytest.Direct(t, region, deploytest.MiniStack()))
	domain := fmt.Sprintf("t%d.example.org", time.Now().UnixNano())
	zone, err := names.CreateHostedZone(t.Context(), &route53.CreateHostedZoneInput{Name: &domain, CallerReference: &domain})
	if err != nil {
		t.Fatal(err)
	}
	www := "www." + domain
	_, err = names.ChangeResourceRecordSets(t.Context(), &route53.ChangeResourceRecordSetsInput{HostedZoneId: zone.HostedZone.Id, ChangeBatch: &types.ChangeBatch{Changes: []types.Change{{
		Action: types.ChangeActionCreate, ResourceRecordSet: &types.ResourceRecordSet{Name: aws.String(www + "."), Type: "A", TTL: aws.Int64(120), ResourceRecords: []types.ResourceRecord{{Value: aws.String("192.0.2.1")}}},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	machines := ec2.NewFromConfig(deploytest.Direct(t, region, deploytest.Moto()))
	images, err := machines.DescribeImages(t.Context(), &ec2.DescribeImagesInput{})
	if err != nil || len(images.Images) == 0 {
		t.Fatalf("%v", err)
	}
	name := strings.ReplaceAll(domain, ".", "-") + "-lb"
	_, err = machines.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: images.Images[0].ImageId, MinCount: aws.Int32(1), MaxCount: aws.Int32(1), TagSpecifications: []ec2types.TagSpecification{{
		ResourceType: "instance", Tags: []ec2types.Tag{{Key: aws.String("Name"), Value: &name}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	stacks := cloudformation.NewFromConfig(deploytest.Direct(t, region, deploytest.MiniStack()))
	stack := strings.TrimSuffix(name, "-lb")
	if _, err := stacks.CreateStack(t.Context(), &cloudformation.CreateStackInput{StackName: &stack, TemplateBody: aws.String(`{"Resources":{"Q":{"Type":"AWS::SQS::Queue"}},"Outputs":{"Address":{"Value":"192.0.2.77"}}}`)}); err != nil {
		t.Fatal(err)
	}

	// An authoritative server over UDP that answers what the zone says.
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		out := new(dns.Msg)
		out.SetReply(m)
		list, err := names.ListResourceRecordSets(context.Background(), &route53.ListResourceRecordSetsInput{HostedZoneId: zone.HostedZone.Id})
		if err == nil {
			for _, s := range list.ResourceRecordSets {
				for _, v := range s.ResourceRecords {
					if rr, err := dns.NewRR(fmt.Sprintf("%s 60 IN %s %s", *s.Name, s.Type, *v.Value)); err == nil && *s.Name == m.Question[0].Name && rr.Header().Rrtype == m.Question[0].Qtype {
						out.Answer = append(out.Answer, rr)
					}
				}
			}
		}
		_ = w.WriteMsg(out)
	})}
	go func() { _ = server.ActivateAndServe() }()
	t.Cleanup(func() { _ = server.Shutdown() })
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != www {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	t.Cleanup(web.Close)
	w := &world{site: Site{
		Account: account, Records: map[string]string{www: "instance:{stack}-lb"},
		HTTP: &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, web.Listener.Addr().String())
		}}},
		Exchange: func(ctx context.Context, m *dns.Msg, _ string) (*dns.Msg, error) {
			in, _, err := new(dns.Client).ExchangeContext(ctx, m, pc.LocalAddr().String())
			return in, err
		},
	}}
	b := w.bench(t, www, "to=stack:"+stack)
	t.Log(b.Run().Plan.Shown[1].Text)
	p := w.run(t, b, nil)
	t.Log(p.Status.Headline)
	if p.Phase != ops.Done {
		t.Fatalf("%+v", p)
	}
	e := w.back(t, b)["dns "+www]
	if e.State != ops.Restored || *e.After != "A 192.0.2.1, TTL 120" {
		t.Errorf("%+v", e)
	}
	a, err := showRecords{map[string]Site{"staging": w.site}}.Answer(t.Context(), ops.Call{Kind: "dns show", Environment: "staging", Args: []string{www}})
	if err != nil || !strings.Contains(a.Title, "all servers agree") || a.Table.Rows[0][2] != "A 192.0.2.1, TTL 120" {
		t.Errorf("%+v %+v, %v", a, a.Table, err)
	}
}

// TestCutAnswer: an answer that does not fit into a datagram is asked for again over TCP.
func TestCutAnswer(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", pc.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		out := new(dns.Msg)
		out.SetReply(m)
		if out.Truncated = w.LocalAddr().Network() == "udp"; !out.Truncated {
			rr, _ := dns.NewRR(m.Question[0].Name + " 60 IN A 192.0.2.7")
			out.Answer = append(out.Answer, rr)
		}
		_ = w.WriteMsg(out)
	})
	for _, s := range []*dns.Server{{PacketConn: pc, Handler: handler}, {Listener: l, Handler: handler}} {
		go func() { _ = s.ActivateAndServe() }()
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	in, err := Site{}.ask(t.Context(), new(dns.Msg).SetQuestion("www.example.org.", dns.TypeA), pc.LocalAddr().String())
	if err != nil || len(in.Answer) != 1 || in.Truncated {
		t.Errorf("%v, %v", in, err)
	}
}
