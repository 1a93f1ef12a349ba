package indices

import "sync"

// panics brings a panic of a goroutine to the one that waits for it, where the engine takes
// it for an error of the step. By itself it would end the process, and again after each
// restart.
type panics struct {
	mu    sync.Mutex
	first any
}

// caught is f with its panic kept.
func (p *panics) caught(f func()) func() {
	return func() {
		defer func() {
			if v := recover(); v != nil {
				p.mu.Lock()
				defer p.mu.Unlock()
				if p.first == nil {
					p.first = v
				}
			}
		}()
		f()
	}
}

// again panics in the calling goroutine if one that was caught did. Call it when all are over.
func (p *panics) again() {
	if p.first != nil {
		panic(p.first)
	}
}
