package amqp

import (
	"net"
	"sync"
)

// cork keeps small writes until it is pulled, so that messages that wait together leave in one packet: the library flushes after each.
type cork struct {
	net.Conn

	mu  sync.Mutex
	in  bool
	buf []byte
}

// corkSize is when a corked connection writes all the same.
const corkSize = 64 << 10

// Write keeps b, or writes what was kept with it.
func (c *cork) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.in && len(c.buf) == 0 {
		return c.Conn.Write(b)
	}
	c.buf = append(c.buf, b...)
	if c.in && len(c.buf) < corkSize {
		return len(b), nil
	}
	return len(b), c.flush()
}

func (c *cork) flush() error {
	b := c.buf
	c.buf = c.buf[:0]
	_, err := c.Conn.Write(b)
	return err
}

func (c *cork) put() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = true
}

// pull writes what was kept.
func (c *cork) pull() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.in = false
	if len(c.buf) == 0 {
		return nil
	}
	return c.flush()
}
