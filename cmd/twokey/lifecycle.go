package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// stopLimit bounds the whole of stopping: the tick in hand may take 10 s.
const stopLimit = 15 * time.Second

// part is something that runs for as long as the bot does. Its run returns soon after
// its context ends; returning earlier is a failure of the whole bot.
type part struct {
	name string
	run  func(context.Context) error
}

// runParts starts the parts in order and runs until ctx ends or one of them fails. Then
// it stops them in the same order, each before the next is told: what takes work
// in comes first, what says how it went comes last.
func runParts(ctx context.Context, log *slog.Logger, parts []part) error {
	type handle struct {
		part
		cancel context.CancelFunc
		done   chan error
	}
	failed := make(chan error, len(parts))
	var handles []handle
	for _, p := range parts {
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		h := handle{part: p, cancel: cancel, done: make(chan error, 1)}
		handles = append(handles, h)
		go func() {
			err := h.run(own)
			if own.Err() == nil {
				failed <- fmt.Errorf("%s stopped: %w", h.name, cmpErr(err, errors.New("without an error")))
			}
			h.done <- err
		}()
	}
	var result error
	select {
	case <-ctx.Done():
		log.Info("stopping")
	case result = <-failed:
		log.Error("stopping", "error", result)
	}
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	for _, h := range handles {
		h.cancel()
		select {
		case err := <-h.done:
			if err != nil && !errors.Is(err, context.Canceled) && result == nil {
				result = fmt.Errorf("%s: %w", h.name, err)
			}
		case <-limit.C:
			for _, rest := range handles {
				rest.cancel()
			}
			return errors.Join(result, fmt.Errorf("%s did not stop within %s", h.name, stopLimit))
		}
	}
	return result
}

// cmpErr returns the first error that is not nil.
func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
