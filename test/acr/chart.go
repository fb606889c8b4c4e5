package acr

import (
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// PushChart puts a packed Helm chart into the registry, as `helm push` does.
func (s *Server) PushChart(repo, tag string, archive []byte) {
	ref, err := name.NewTag(backend+"/"+repo+":"+tag, name.Insecure)
	s.check(err)
	img := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json")
	chart, err := mutate.Append(img, mutate.Addendum{Layer: static.NewLayer(archive, "application/vnd.cncf.helm.chart.content.v1.tar+gzip")})
	s.check(err)
	s.check(remote.Write(ref, chart, s.direct(repo)))
}
