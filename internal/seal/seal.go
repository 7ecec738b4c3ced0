// Package seal keeps what the bridge writes into the event log for itself from being read by those who receive events.
//
// JetStream delivers a stored message as it is: no header can be taken off on the way to a subscriber. So a cursor, which has to be
// durable in the same write as its event, is stored sealed, with a key in the state bucket, which no subscriber reaches.
package seal

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/stixbridge/stixbridge/internal/eventlog"
)

// key of the state bucket.
const key = "seal"

// prefix of a sealed text. No JSON begins like it.
const prefix = "s1."

// Seal seals and opens. It may be used by several goroutines.
type Seal struct{ aead cipher.AEAD }

// secret is the record in the state bucket. Backup, restore and migration take it along with the rest of the state.
type secret struct {
	Key []byte `json:"key"`
}

// Load reads the event log's key, or makes it; of several bridges that start at once, one makes it.
func Load(ctx context.Context, st *eventlog.State) (*Seal, error) {
	for {
		var s secret
		rev, err := st.Get(ctx, key, &s)
		if err != nil {
			return nil, err
		}
		if rev > 0 {
			return newSeal(s.Key)
		}
		s.Key = make([]byte, 32)
		_, _ = rand.Read(s.Key) // it never fails
		if _, err := st.Swap(ctx, key, s, 0); err != nil && !errors.Is(err, eventlog.ErrChanged) {
			return nil, err
		}
	}
}

func newSeal(k []byte) (*Seal, error) {
	block, err := aes.NewCipher(k)
	if err != nil {
		return nil, fmt.Errorf("state %s is damaged: %w; restore log and state from one backup", key, err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	return &Seal{aead}, err
}

// Seal returns a text that fits a header and tells nothing but its length.
func (s *Seal) Seal(plain []byte) string {
	return prefix + base64.RawURLEncoding.EncodeToString(s.aead.Seal(nil, nil, plain, nil))
}

// Open returns what was sealed. A text that was stored before there was a seal comes back as it is.
func (s *Seal) Open(text string) ([]byte, error) {
	body, sealed := strings.CutPrefix(text, prefix)
	if !sealed {
		return []byte(text), nil
	}
	b, err := base64.RawURLEncoding.DecodeString(body)
	if err == nil {
		b, err = s.aead.Open(nil, nil, b, nil)
	}
	if err != nil {
		return nil, fmt.Errorf("sealed header: %w; log and state are not of one store: restore both from one backup", err)
	}
	return b, nil
}
