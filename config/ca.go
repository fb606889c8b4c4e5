package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// CA is the PEM file of a host in a directory with one for each server that needs one, as Argo CD's argocd-tls-certs-cm has them.
// It is empty where there is none.
func CA(dir, host string) ([]byte, error) {
	if dir == "" || host == "" || host != filepath.Base(host) {
		return nil, nil
	}
	root, err := os.OpenRoot(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	defer root.Close()
	pem, err := root.ReadFile(host)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return pem, err
}
