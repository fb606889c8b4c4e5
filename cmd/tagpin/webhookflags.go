package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"github.com/tagpin/tagpin/config"
	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/webhook"
)

// webhookFlags open the port that registries tell of pushes.
type webhookFlags struct {
	addr  string
	files webhook.Files
}

func (f *webhookFlags) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.addr, "webhook-addr", "", "where registries announce pushes, such as :8083; empty: nowhere")
	flags.StringVar(&f.files.Cert, "webhook-tls-cert", "", "a file with the certificate chain for --webhook-addr; without it, plain HTTP")
	flags.StringVar(&f.files.Key, "webhook-tls-key", "", "a file with the certificate's private key")
}

// A hookServer is an open port, or nil.
type hookServer struct {
	handler  *webhook.Handler
	listener net.Listener
	log      *logrus.Logger
}

// open is nil without --webhook-addr.
func (f *webhookFlags) open(ctx context.Context, e *engine, loop webhook.Loop) (*hookServer, error) {
	if f.addr == "" {
		if f.files != (webhook.Files{}) {
			return nil, errors.New("--webhook-tls-cert and --webhook-tls-key are for --webhook-addr, which is missing")
		}
		return nil, nil //nolint:nilnil // it is off
	}
	if len(e.settings.Webhooks) == 0 {
		return nil, errors.New("--webhook-addr: tagpin.yaml has no webhooks, and without a secret none is taken: add\n" +
			"webhooks:\n- secret: secret:argocd/tagpin-webhook#secret\n  repositories: [registry.example.com/team]")
	}
	handler, err := webhook.New(webhook.Options{Keys: e.webhookKeys(), Registries: e.registries, Loop: loop, Log: e.log})
	if err != nil {
		return nil, err
	}
	listener, err := webhook.Listen(ctx, f.addr, f.files)
	if err != nil {
		return nil, fmt.Errorf("--webhook-addr %s: %w", f.addr, err)
	}
	e.log.Infof("registries may announce pushes at %s", listener.Addr())
	return &hookServer{handler, listener, e.log}, nil
}

// start answers in the background until stop.
func (s *hookServer) start(ctx context.Context) (stop func()) {
	if s == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.handler.Serve(ctx, s.listener); err != nil {
			s.log.WithError(err).Error("pushes are announced no more; applications are still checked each interval")
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

func (e *engine) webhookKeys() []webhook.Key {
	var keys []webhook.Key
	for _, w := range e.settings.Webhooks {
		key := webhook.Key{Name: w.Secret.String(), Read: func() ([]string, error) { return webhookSecrets(e.secrets, w) }}
		for _, p := range w.Repositories {
			key.Prefixes = append(key.Prefixes, image.Image{Registry: p.Host, Repository: p.Path})
		}
		keys = append(keys, key)
	}
	return keys
}

// webhookSecrets are the secret and, while there is one, the previous one.
func webhookSecrets(secrets config.Secrets, w config.Webhook) ([]string, error) {
	now, err := secrets.Read(w.Secret.Namespace, w.Secret.Name, w.Secret.Field)
	if err != nil {
		return nil, err
	}
	if w.PreviousSecret == (config.Credential{}) {
		return []string{now}, nil
	}
	before, err := secrets.Read(w.PreviousSecret.Namespace, w.PreviousSecret.Name, w.PreviousSecret.Field)
	switch {
	case errors.Is(err, fs.ErrNotExist), err == nil && before == "":
		return []string{now}, nil
	case err != nil:
		return nil, err
	}
	return []string{now, before}, nil
}
