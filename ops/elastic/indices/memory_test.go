package indices

import (
	"context"
	"sync"
)

// memory is a register of this process.
type memory struct {
	mu      sync.Mutex
	entries map[string]Entry
}

func (m *memory) Get(_ context.Context, name string) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.entries[name], nil
}

func (m *memory) Put(_ context.Context, name string, e Entry) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.entries[name].Version != e.Version {
		return Entry{}, ErrRegisterChanged
	}
	e.Version += "x"
	m.entries[name] = e
	return e, nil
}
