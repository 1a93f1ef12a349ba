package main

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs the program's commands as people type them: testdata/script.
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			workspace := &outside{t: t}
			workspace.serveSlack()
			r := miniredis.NewMiniRedis()
			if err := r.Start(); err != nil {
				return err
			}
			e.Defer(r.Close)
			free := listenLoopback(t)
			_, port, err := net.SplitHostPort(free.Addr().String())
			if err != nil {
				return err
			}
			if err := free.Close(); err != nil {
				return err
			}
			o := workspace.slack.Options()
			for name, value := range map[string]string{
				"A_REDIS": "redis://" + r.Addr() + "/0", "A_SLACK": workspace.slack.URL() + "/api/",
				"A_BOT_TOKEN": o.BotToken, "A_APP_TOKEN": o.AppToken, "A_PORT": port,
			} {
				e.Setenv(name, value)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			// ready URL waits until it answers 200.
			"ready": func(ts *testscript.TestScript, _ bool, args []string) {
				for end := time.Now().Add(20 * time.Second); ; {
					res, err := http.Get(args[0])
					if err == nil {
						res.Body.Close()
						if res.StatusCode == http.StatusOK {
							return
						}
					}
					if time.Now().After(end) {
						ts.Fatalf("%s is not ready", args[0])
					}
					time.Sleep(50 * time.Millisecond)
				}
			},
		},
	})
}
