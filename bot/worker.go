package bot

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

const (
	// lease is how long an item is this worker's. One whose worker was killed is
	// taken by another after it.
	lease = 45 * time.Second
	// handleTime is how long handling may take. It is shorter than lease, so that two
	// workers do not usually handle one item at once; if they do, each effect has a
	// key of its own and happens once.
	handleTime = 40 * time.Second
	// lookEvery is how often the inbox is looked at for what other replicas accepted
	// or left.
	lookEvery = time.Second
	// maxTries is after how many tries a person is told that it did not work. With the
	// waits of resendWait that is about a quarter of an hour.
	maxTries = 35
	// maxTime is after how long they are told so even if there were fewer tries, because
	// each took its time; but not before minTries, as the bot may just have been away.
	maxTime  = 15 * time.Minute
	minTries = 5
)

// over reports whether an item is not to be tried any more.
func over(i Item) bool {
	return i.Tries >= maxTries || i.Tries >= minTries && time.Since(i.Received) >= maxTime
}

// errNotEnded is why an item is given up that was tried often enough, though no try of it
// came back with an error: processes died of it, or while they had it.
var errNotEnded = errors.New("no try came to an end")

// itemWait is the wait after the nth try of an item: longer each time, and no
// shorter than Slack asks for.
func itemWait(tries int, err error) time.Duration {
	var limited *slack.RateLimitedError
	if errors.As(err, &limited) {
		return max(resendWait(tries), limited.RetryAfter)
	}
	return resendWait(tries)
}

// Run carries out what is in the inbox until ctx ends. Then it takes no more, lets
// what is in work finish, and returns nil.
func (s *Server) Run(ctx context.Context) error {
	defer s.asides.Wait()
	var working sync.WaitGroup
	defer working.Wait()
	room := make(chan struct{}, s.o.Workers)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for {
		select {
		case room <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		i, ok, err := s.o.Inbox.Take(ctx, lease)
		if ok {
			working.Go(func() {
				defer func() { <-room }()
				s.work(context.WithoutCancel(ctx), i)
			})
			continue
		}
		<-room
		if err != nil && ctx.Err() == nil {
			s.log.Error("inbox", "err", redact(err.Error()))
		}
		select {
		case <-s.wake:
		case <-look.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// work handles one item that was taken, and settles it.
func (s *Server) work(ctx context.Context, i Item) {
	ctx, cancel := context.WithTimeout(ctx, lease)
	defer cancel()
	err := errNotEnded
	if i.Tries <= maxTries { // else only telling is left to do
		err = s.handle(ctx, i)
	}
	if err != nil && over(i) {
		err = s.giveUp(ctx, i, err)
	}
	if err == nil {
		if err := s.o.Inbox.Done(ctx, i.Key); err != nil {
			s.log.Error("inbox: handled, but not marked so; it is handled again, without effect", "item", i.Key, "err", redact(err.Error()))
		}
		return
	}
	wait := itemWait(i.Tries, err)
	s.log.Warn("not handled", "item", i.Key, "tries", i.Tries, "again_in", wait, "err", redact(err.Error()))
	if err := s.o.Inbox.Retry(ctx, i.Key, wait); err != nil {
		// The lease passes, and somebody takes it.
		s.log.Error("inbox", "item", i.Key, "err", redact(err.Error()))
	}
}

// handle carries out one item. An error means: again later. What a person is to
// blame for, or has to be told, is told and is no error.
func (s *Server) handle(ctx context.Context, i Item) (err error) {
	ctx, cancel := context.WithTimeout(ctx, handleTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("panic", "item", i.Key, "panic", redact(fmt.Sprint(p)), "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	d, err := deedOf(i)
	if err != nil {
		return err
	}
	w := word{s: s, deed: d, item: i}
	switch d.Via {
	case viaCommand, viaMention, viaDM:
		return s.dispatch(ctx, w)
	case viaClick:
		return s.click(ctx, w)
	case viaReaction:
		return s.reaction(ctx, w)
	case viaUnreaction:
		return s.unreaction(ctx, w)
	}
	return fmt.Errorf("item of unknown kind %q", d.Via)
}

// giveUp tells the person that it did not work, so that nothing accepted is silently
// forgotten. Its error, if telling fails too, means: again later.
func (s *Server) giveUp(ctx context.Context, i Item, cause error) error {
	d, err := deedOf(i)
	if err != nil {
		s.log.Error("an item that cannot be read is dropped", "item", i.Key, "err", err)
		return nil
	}
	w := word{s: s, deed: d, item: i}
	return w.whisper(ctx, "gave-up", fmt.Sprintf("I tried this %d times and could not finish it. %s", i.Tries, s.explain(w, cause)))
}
