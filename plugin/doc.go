// Package plugin makes tagpin an Argo CD Config Management Plugin. Call NewGenerator for the recipe that turns a directory and
// a Request into manifests, and NewServer to offer it to argocd-repo-server on a Unix socket.
//
// A Request comes from the entries of the stream (ParseRequest), from the environment of a stock argocd-cmp-server
// (ParseEnviron), or from an Application manifest (LoadApplication); after that nothing reads the environment, so that all
// three ways give the same manifests. This is the only package that knows gRPC and the names ARGOCD_*.
package plugin
