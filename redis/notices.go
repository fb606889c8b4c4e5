package redis

import (
	"context"
	"strings"
	"time"
)

const (
	// maxNotice bounds a notice, in bytes.
	maxNotice = 4 << 10
	// listenAgain is the wait before a new attempt to listen.
	listenAgain = time.Second
)

// A Notice tells all replicas of something, at once or not at all: whoever depends on it looks for itself from time to time.
type Notice struct{ Kind, Text string }

func (c *Client) channel() string { return c.key("notices") }

// Notify tells all that listen, this process included.
func (c *Client) Notify(ctx context.Context, n Notice) {
	message, err := c.sealer.seal(c.channel(), []byte(n.Kind+"\n"+n.Text))
	if err != nil || len(message) > maxNotice {
		return
	}
	_ = c.do(ctx, patience, func(ctx context.Context) error { return c.rdb.Publish(ctx, c.channel(), message).Err() })
}

// Listen hands notices on until ctx ends, one at a time.
func (c *Client) Listen(ctx context.Context, hear func(Notice)) {
	for ctx.Err() == nil {
		c.listen(ctx, hear)
		select {
		case <-ctx.Done():
		case <-time.After(listenAgain):
		}
	}
}

// listen ends when the connection can't be kept. The library reconnects by itself, and checks that the other side is there.
func (c *Client) listen(ctx context.Context, hear func(Notice)) {
	subscription := c.rdb.Subscribe(ctx, c.channel())
	defer subscription.Close()
	messages := subscription.Channel()
	for {
		select {
		case <-ctx.Done():
			return
		case m, ok := <-messages:
			if !ok {
				return
			}
			if text, err := c.sealer.open(c.channel(), []byte(m.Payload)); err == nil && len(text) <= maxNotice {
				kind, rest, _ := strings.Cut(string(text), "\n")
				hear(Notice{Kind: kind, Text: rest})
			}
		}
	}
}
