package elastic

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/elastic/go-elasticsearch/v8"
)

// Settings say how to reach one cluster. URLs must not be empty. Login is by APIKey,
// or by Username and Password, or none. CA (PEM) or CAFile names the authority that
// signed the cluster's certificate; neither: the system's. Transport nil means one
// with time limits; it cannot be combined with CA or CAFile.
type Settings struct {
	URLs      []string
	Username  string
	Password  string
	APIKey    string
	CAFile    string
	CA        []byte
	Transport http.RoundTripper
}

// Connect makes the client of a cluster. It sends nothing. The client never repeats a
// request by itself: reads are repeated on the next node by Cluster, writes are not
// repeated before the cluster was read again. The first answer must come from a genuine
// Elasticsearch (product check).
func Connect(s Settings) (*elasticsearch.Client, error) {
	var mistakes []error
	if len(s.URLs) == 0 {
		mistakes = append(mistakes, errors.New("urls: none given"))
	}
	for _, raw := range s.URLs {
		if err := checkURL(raw); err != nil {
			mistakes = append(mistakes, err)
		}
	}
	if s.APIKey != "" && s.Username != "" {
		mistakes = append(mistakes, errors.New("an API key and a username: give one of them"))
	}
	if (s.Username == "") != (s.Password == "") {
		mistakes = append(mistakes, errors.New("username and password: give both or none"))
	}
	if s.Transport != nil && (s.CAFile != "" || len(s.CA) > 0) {
		mistakes = append(mistakes, errors.New("a transport of its own and a CA: give one of them"))
	}
	if len(mistakes) > 0 {
		return nil, fmt.Errorf("elasticsearch: %w", errors.Join(mistakes...))
	}
	if s.Transport == nil {
		pool, err := authorities(s)
		if err != nil {
			return nil, fmt.Errorf("elasticsearch: %w", err)
		}
		s.Transport = patientTransport(pool)
	}
	client, err := elasticsearch.NewClient(elasticsearch.Config{
		Addresses:    s.URLs,
		Username:     s.Username,
		Password:     s.Password,
		APIKey:       s.APIKey,
		Transport:    s.Transport,
		DisableRetry: true,
	})
	if err != nil {
		return nil, fmt.Errorf("elasticsearch: %w", err)
	}
	return client, nil
}

// checkURL wants http or https, a host, and nothing secret: a URL is shown to people.
func checkURL(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return errors.New("urls: one of them is not a URL") // err would show it, password and all
	case u.User != nil:
		return fmt.Errorf("urls: %s holds a login; use username and password_env", u.Host)
	case (u.Scheme != "http" && u.Scheme != "https") || u.Host == "":
		return fmt.Errorf("urls: %q: want https://host:port", raw)
	}
	return nil
}

func authorities(s Settings) (*x509.CertPool, error) {
	pem := s.CA
	if s.CAFile != "" {
		b, err := os.ReadFile(s.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		pem = b
	}
	if len(pem) == 0 {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, errors.New("ca_file: no certificate in it (want PEM)")
	}
	return pool, nil
}

func patientTransport(pool *x509.CertPool) *http.Transport {
	dialer := &net.Dialer{Timeout: 3 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   3 * time.Second,
		ResponseHeaderTimeout: readLimit,
		MaxIdleConnsPerHost:   8,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
	}
}
