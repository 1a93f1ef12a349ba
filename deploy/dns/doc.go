// Package dns is the operations on DNS records: a name is pointed to the address of a new
// stack or instance, and the old value is kept to go back to.
//
// Records are at Route 53, or at Cloudflare where the configuration says so of the zone. A
// switch is done when the provider has it everywhere, every authoritative server of the
// zone answers it, and a request through the name is answered. Records that Cloudflare
// proxies are answered with Cloudflare's own addresses: of those the provider's word and
// the request through the name count.
package dns

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/miekg/dns"

	"twokey/deploy"
	"twokey/ops"
)

// Site is one environment's account, with what the configuration says for this package.
type Site struct {
	*deploy.Account
	// Cloudflare are the zones at Cloudflare; all others are at Route 53.
	Cloudflare []string
	// Token is Cloudflare's API token.
	Token string
	// Records say where a record's target is found when a stack is named:
	// "instance:{stack}-web" or "output:Address", by the record's name.
	Records map[string]string
	// Probes are asked, one after the other, with the record's name, before the switch at the new address and after
	// it at the one the name leads to; {address} stands for that. Each must answer with a
	// status below 400. None: http://{address}/, where any status below 500 will do.
	Probes []string

	// CloudflareURL is the API's address; empty: Cloudflare's own.
	CloudflareURL string
	// HTTP asks probes and Cloudflare; nil: a client with a time limit.
	HTTP *http.Client
	// Exchange asks one DNS server, "host:53"; nil: over UDP, and TCP where that is cut.
	Exchange func(context.Context, *dns.Msg, string) (*dns.Msg, error)
}

// probeTime is how long one request of a probe or to a DNS server may take.
const probeTime = 3 * time.Second

func (s Site) http() *http.Client {
	if s.HTTP != nil {
		return s.HTTP
	}
	return &http.Client{Timeout: 8 * time.Second}
}

// ask asks one DNS server.
func (s Site) ask(ctx context.Context, m *dns.Msg, server string) (*dns.Msg, error) {
	ctx, stop := context.WithTimeout(ctx, probeTime)
	defer stop()
	if s.Exchange != nil {
		return s.Exchange(ctx, m, server)
	}
	in, _, err := new(dns.Client).ExchangeContext(ctx, m, server)
	if err == nil && in.Truncated {
		in, _, err = (&dns.Client{Net: "tcp"}).ExchangeContext(ctx, m, server)
	}
	return in, err
}

// Operations returns the operations over sites, keyed by environment name.
func Operations(sites map[string]Site) []ops.Operation { return []ops.Operation{switchRecords{sites}} }

// Queries returns the queries over sites.
func Queries(sites map[string]Site) []ops.Query { return []ops.Query{showRecords{sites}} }

// pick is the site of an environment.
func pick(sites map[string]Site, environment string) (Site, error) {
	if s, ok := sites[environment]; ok {
		return s, nil
	}
	accounts := make(map[string]*deploy.Account, len(sites))
	for name, s := range sites {
		accounts[name] = s.Account
	}
	_, err := deploy.Pick(accounts, environment)
	return Site{}, err
}

// anyProbe is the probe where none is configured.
const anyProbe = "http://{address}/"

// probes asks all of them; an error is of the first that is not answered, and names it.
func (s Site) probes(ctx context.Context, probes []string, address, name string) error {
	for _, p := range probes {
		if err := s.probe(ctx, p, address, name); err != nil {
			return fmt.Errorf("%s: %w", at(p, address), err)
		}
	}
	return nil
}

// probe asks at an address as whoever follows the name would: with the name as the host,
// and as the one that a certificate must be for.
func (s Site) probe(ctx context.Context, probe, address, name string) error {
	ctx, stop := context.WithTimeout(ctx, probeTime)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at(probe, address), nil)
	if err != nil {
		return err
	}
	req.Host = name
	client := *s.http()
	if client.Transport == nil {
		own := http.DefaultTransport.(*http.Transport).Clone()
		own.TLSClientConfig, own.DisableKeepAlives = &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12}, true
		client.Transport = own
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode >= 500 || resp.StatusCode >= 400 && probe != anyProbe {
		return fmt.Errorf("answered %s", resp.Status)
	}
	return nil
}

// at is the URL of a probe at an address.
func at(probe, address string) string {
	return strings.ReplaceAll(probe, "{address}", host(address))
}

// host is an address as a URL has it.
func host(address string) string {
	if ip := net.ParseIP(address); ip != nil && ip.To4() == nil {
		return "[" + address + "]"
	}
	return address
}
