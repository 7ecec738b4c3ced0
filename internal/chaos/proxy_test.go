package chaos

import (
	"bufio"
	"fmt"
	"net"
	"testing"
	"time"
)

// echo is a server that sends each line back.
func echo(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for s := bufio.NewScanner(c); s.Scan(); {
					fmt.Fprintln(c, s.Text())
				}
			}()
		}
	}()
	return ln.Addr().String()
}

func TestAProxyPassesSwallowsAndCuts(t *testing.T) {
	p, err := NewProxy(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", p.Addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	c := dial()
	ask := func(c net.Conn, wait time.Duration) error {
		_ = c.SetDeadline(time.Now().Add(wait))
		fmt.Fprintln(c, "hello")
		_, err := bufio.NewReader(c).ReadString('\n')
		return err
	}
	if err := ask(c, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	p.Swallow()
	if err := ask(c, 100*time.Millisecond); err == nil {
		t.Error("an answer came through a black hole")
	}
	p.Heal()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := bufio.NewReader(c).ReadString('\n'); err != nil {
		t.Errorf("what was held did not come after the healing: %v", err)
	}
	p.Cut()
	if err := ask(c, 10*time.Second); err == nil {
		t.Error("a connection outlived the cut")
	}
	if err := ask(dial(), 10*time.Second); err == nil {
		t.Error("a new connection was served during the cut")
	}
	p.Heal()
	if err := ask(dial(), 10*time.Second); err != nil {
		t.Errorf("after the healing: %v", err)
	}
}
