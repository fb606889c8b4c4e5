// Package e2e runs the guide, and what the documentation promises, on a whole Argo CD control plane: make e2e.
//
// etcd, kube-apiserver, Argo CD (API server, application-controller, applicationset-controller, repo-server, CLI), Redis, a
// registry that answers like ACR, Git over https with passwords, and tagpin as the repo-server's plugin are processes of this
// machine. They run in network, mount and process namespaces of their own: every host name in the documentation is this
// machine there, with a certificate that everything in there trusts, and nothing reaches the outside.
//
// The programs that no package manager has are built from the modules below programs, once, into a cache directory.
package e2e
