package redisserver

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// MasterName is what a Sentinel calls its master.
const MasterName = "argocd"

// A Group is a master, its replica and a Sentinel that watches both, as in Argo CD's HA manifests but for the numbers.
type Group struct {
	Servers  []*Server // the master first, until it fails
	Sentinel *Server
}

// StartGroup runs a group until the test ends.
func StartGroup(t testing.TB) *Group {
	t.Helper()
	master := Start(t, Options{Args: []string{"--masterauth", Password}})
	replica := Start(t, Options{Args: []string{"--masterauth", Password, "--replicaof", "127.0.0.1 " + master.port}})
	conf := filepath.Join(t.TempDir(), "sentinel.conf") // Sentinel writes to it
	text := fmt.Sprintf("sentinel monitor %[1]s 127.0.0.1 %[2]s 1\nsentinel auth-pass %[1]s %[3]s\n"+
		"sentinel down-after-milliseconds %[1]s 500\nsentinel failover-timeout %[1]s 2000\n", MasterName, master.port, Password)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &Group{[]*Server{master, replica}, Start(t, Options{sentinel: conf})}
	client := goredis.NewSentinelClient(&goredis.Options{Addr: g.Sentinel.Addr(), Password: Password})
	defer client.Close()
	waitFor(t, "the Sentinel knows the replica", func() bool {
		replicas, err := client.Replicas(context.Background(), MasterName).Result()
		return err == nil && len(replicas) == 1 && replicas[0]["master-link-status"] == "ok"
	})
	return g
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it never came about that %s", what)
		}
	}
}
