package indices

import (
	"sync"
	"testing"
)

// A panic in one of several goroutines is one of whoever waits for them.
func TestPanics(t *testing.T) {
	var wg sync.WaitGroup
	var p panics
	done := make([]bool, 3)
	for i := range done {
		wg.Go(p.caught(func() {
			if i == 1 {
				panic("broken")
			}
			done[i] = true
		}))
	}
	wg.Wait()
	defer func() {
		if v := recover(); v != "broken" || !done[0] || !done[2] {
			t.Errorf("%v, done %v", v, done)
		}
	}()
	p.again()
	t.Error("no panic")
}
