package main

import (
	"context"
	"net/http"
	"path"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"twokey/approvals"
	"twokey/bot"
	"twokey/ops"
)

// metrics is what /metrics shows.
type metrics struct {
	registry *prometheus.Registry
	slack    *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		slack: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "twokey_slack_calls_total", Help: "Calls of Slack's Web API by method and HTTP status; status 0: no answer.",
		}, []string{"method", "status"}),
	}
	m.registry.MustRegister(m.slack, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// watch adds the gauges read from the stores when they are asked for.
func (m *metrics) watch(engine *ops.Engine, requests *approvals.Service, server *bot.Server) {
	m.registry.MustRegister(&stores{engine, requests}, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "twokey_slack_sockets", Help: "Socket Mode connections that are up.",
	}, func() float64 { return float64(server.Sockets()) }))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// slackCalls counts the calls that go through next (nil: the default transport).
func (m *metrics) slackCalls(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return promRoundTripper(func(r *http.Request) (*http.Response, error) {
		res, err := next.RoundTrip(r)
		status := 0
		if err == nil {
			status = res.StatusCode
		}
		m.slack.WithLabelValues(path.Base(r.URL.Path), strconv.Itoa(status)).Inc()
		return res, err
	})
}

type promRoundTripper func(*http.Request) (*http.Response, error)

func (f promRoundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// stores collects the numbers of requests and runs. When Redis does not answer, they
// are missing, not zero.
type stores struct {
	engine   *ops.Engine
	requests *approvals.Service
}

var (
	runsDesc     = prometheus.NewDesc("twokey_runs", "Runs that have not ended, by state.", []string{"state"}, nil)
	requestsDesc = prometheus.NewDesc("twokey_requests_open", "Requests waiting for votes or for their launch.", nil, nil)
)

func (s *stores) Describe(ch chan<- *prometheus.Desc) { ch <- runsDesc; ch <- requestsDesc }

func (s *stores) Collect(ch chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if runs, err := s.engine.Live(ctx); err != nil {
		ch <- prometheus.NewInvalidMetric(runsDesc, err)
	} else {
		count := make(map[ops.State]int)
		for _, r := range runs {
			count[r.State]++
		}
		for _, state := range []ops.State{ops.Starting, ops.Running, ops.Paused, ops.Undoing} {
			ch <- prometheus.MustNewConstMetric(runsDesc, prometheus.GaugeValue, float64(count[state]), string(state))
		}
	}
	if open, err := s.requests.Open(ctx); err != nil {
		ch <- prometheus.NewInvalidMetric(requestsDesc, err)
	} else {
		ch <- prometheus.MustNewConstMetric(requestsDesc, prometheus.GaugeValue, float64(len(open)))
	}
}
