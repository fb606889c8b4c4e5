package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sirupsen/logrus"
	"github.com/spf13/pflag"

	"github.com/tagpin/tagpin/redis"
)

// The environment of Argo CD's own containers (argo-cd: util/cache/cache.go). What is set there means the same here, so that
// the entries of argocd-repo-server can be copied.
const (
	envRedisServer           = "REDIS_SERVER"
	envRedisDB               = "REDISDB"
	envRedisUsername         = "REDIS_USERNAME"
	envRedisPassword         = "REDIS_PASSWORD"
	envRedisRetries          = "REDIS_RETRY_COUNT"
	envRedisSentinelUsername = "REDIS_SENTINEL_USERNAME"
	envRedisSentinelPassword = "REDIS_SENTINEL_PASSWORD"
	envRedisCredsDir         = "REDIS_CREDS_DIR_PATH" //nolint:gosec // a name
)

// maxKeyFile bounds the file of --redis-hmac-key.
const maxKeyFile = 64 << 10

// redisFlags say how Argo CD's Redis is reached. The names are Argo CD's, but for the last two.
type redisFlags struct {
	server, master  string
	sentinels       []string
	db              int
	useTLS          bool
	tls             redis.TLS
	prefix, keyFile string
	set             *pflag.FlagSet
}

func (f *redisFlags) register(flags *pflag.FlagSet) {
	f.set = flags
	flags.StringVar(&f.server, "redis", "", "Argo CD's Redis, host:port (default: REDIS_SERVER, or "+redis.DefaultServer+" where REDIS_PASSWORD is set); empty: none, everything is in memory")
	flags.StringArrayVar(&f.sentinels, "sentinel", nil, "a Redis Sentinel, host:port, in place of --redis; repeatable")
	flags.StringVar(&f.master, "sentinelmaster", redis.DefaultSentinelMaster, "what the Sentinels call their master")
	flags.IntVar(&f.db, "redisdb", 0, "the Redis database (default: REDISDB, or 0)")
	flags.BoolVar(&f.useTLS, "redis-use-tls", false, "use TLS with Redis")
	flags.StringVar(&f.tls.CA, "redis-ca-certificate", "", "a file with the CA of Redis's certificate (default: the system's)")
	flags.StringVar(&f.tls.Cert, "redis-client-certificate", "", "a file with the certificate to show to Redis")
	flags.StringVar(&f.tls.Key, "redis-client-key", "", "a file with its private key")
	flags.BoolVar(&f.tls.Insecure, "redis-insecure-skip-tls-verify", false, "don't verify Redis's certificate")
	flags.StringVar(&f.prefix, "redis-prefix", redis.DefaultPrefix, "begins all keys: installations that share a Redis need different ones")
	flags.StringVar(&f.keyFile, "redis-hmac-key", "", "a file with the key that authenticates what is in Redis, the same for all replicas; one key a line, the first signs")
}

// open gives the client, or nil where no Redis is meant, or the command has nothing to share.
func (f *redisFlags) open(log logrus.FieldLogger) (*redis.Client, error) {
	if f.set == nil {
		return nil, nil
	}
	credentials, err := redisCredentials()
	if err != nil {
		return nil, err
	}
	server := f.address(credentials[0] != "")
	if server == "" && len(f.sentinels) == 0 {
		return nil, f.unused()
	}
	o := redis.Options{
		Server: server, Sentinels: f.sentinels, SentinelMaster: f.master, DB: f.db, Prefix: f.prefix, Log: log,
		Password: credentials[0], Username: credentials[1], SentinelPassword: credentials[2], SentinelUsername: credentials[3],
	}
	if o.Retries, err = numberFromEnv(envRedisRetries, redis.DefaultRetries); err != nil {
		return nil, err
	}
	if !f.set.Changed("redisdb") {
		if o.DB, err = numberFromEnv(envRedisDB, 0); err != nil {
			return nil, err
		}
	}
	if o.Keys, err = readKeys(f.keyFile); err != nil {
		return nil, fmt.Errorf("--redis-hmac-key: %w", err)
	}
	if f.useTLS {
		if o.TLS, err = f.tls.Config(); err != nil {
			return nil, err
		}
	}
	client, err := redis.Open(o)
	if err != nil {
		return nil, fmt.Errorf("--redis: %w", err)
	}
	return client, nil
}

// address is the server's: the flag's, the environment's, or Argo CD's default where a password is there for it.
func (f *redisFlags) address(password bool) string {
	switch {
	case f.set.Changed("redis"):
		return f.server
	case os.Getenv(envRedisServer) != "":
		return os.Getenv(envRedisServer)
	case password:
		return redis.DefaultServer
	}
	return ""
}

// unused is an error for a flag that has no effect without a server.
func (f *redisFlags) unused() error {
	for _, name := range []string{"redis-use-tls", "redis-hmac-key", "redis-ca-certificate", "redis-client-certificate"} {
		if f.set.Changed(name) {
			return fmt.Errorf("--%s is for Redis, and none is named: set --redis or REDIS_SERVER", name)
		}
	}
	return nil
}

// redisCredentials are password and user, of Redis and of its Sentinels: from the files of a directory, or from the
// environment, as Argo CD takes them.
func redisCredentials() ([4]string, error) {
	dir := os.Getenv(envRedisCredsDir)
	if dir == "" {
		return [4]string{os.Getenv(envRedisPassword), os.Getenv(envRedisUsername), os.Getenv(envRedisSentinelPassword),
			os.Getenv(envRedisSentinelUsername)}, nil
	}
	var found [4]string
	for i, name := range []string{"auth", "auth_username", "sentinel_auth", "sentinel_username"} {
		text, err := os.ReadFile(filepath.Join(dir, name)) //nolint:gosec // the operator's directory
		if errors.Is(err, fs.ErrNotExist) && i > 0 {
			continue
		}
		if err != nil {
			return found, fmt.Errorf("%s: %w", envRedisCredsDir, err)
		}
		found[i] = strings.TrimSpace(string(text))
	}
	return found, nil
}

func numberFromEnv(name string, otherwise int) (int, error) {
	text := os.Getenv(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("environment variable %s: %q is no number of 0 or more", name, text)
	}
	return n, nil
}

// readKeys gives one key for each line.
func readKeys(file string) ([][]byte, error) {
	if file == "" {
		return nil, nil
	}
	text, err := os.ReadFile(file)
	switch {
	case err != nil:
		return nil, err
	case len(text) > maxKeyFile:
		return nil, fmt.Errorf("%s is too large for a file of keys", file)
	}
	var keys [][]byte
	for line := range bytes.Lines(text) {
		if key := bytes.TrimSpace(line); len(key) > 0 {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s is empty: make a key with openssl rand -hex 32", file)
	}
	return keys, nil
}
