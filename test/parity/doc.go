// Package parity compares tagpin with Argo CD's own rendering. Its tests run argo-cd's repo-server twice for each case: once
// with its Helm or Kustomize source and the programs helm and kustomize, once with tagpin as its plugin and parameters of the
// same names. `make parity DIR=…` does it for every chart and overlay of a directory.
package parity
