package main

import (
	"errors"
	"os"

	"github.com/sirupsen/logrus"

	"github.com/tagpin/tagpin/image"
	"github.com/tagpin/tagpin/plugin"
	"github.com/tagpin/tagpin/writeback"
	"github.com/tagpin/tagpin/writeback/edit"
)

// pinReader implements plugin.Pins: it reads the pin file of the commit that is rendered.
type pinReader struct {
	log logrus.FieldLogger
	// same says which names are one repository: ACR's public, VPC and internal ones are.
	same func(a, b image.Image) bool
}

func (p pinReader) Read(dir plugin.Dir, app image.Application, o image.Options) ([]image.Pin, error) {
	pins := make([]image.Pin, len(o.Images))
	if o.WriteBack.Target != "" {
		return pins, nil // they are in a values file or a kustomization, which is rendered as it is
	}
	root, err := os.OpenRoot(dir.Root)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	file, err := edit.ReadPins(root, dir.Path, app.Name)
	if err != nil {
		return nil, err
	}
	log := p.log.WithField("application", app.Name)
	if file.Name == "" && len(file.Others) > 0 {
		log.Warnf("there is no %s, but %v, which are other applications' pins", edit.PinFileName(app.Name), file.Others)
	}
	matched, _, err := edit.Match(file.Pins, o.Images, p.same)
	var none *edit.NoneMatchError
	if errors.As(err, &none) && len(file.Pins) > 0 {
		log.Warn(err)
	} else if err != nil && !errors.As(err, &none) {
		return nil, err
	}
	for i, pin := range matched {
		if pin != nil {
			pins[i] = *pin
		}
	}
	return pins, nil
}

func (pinReader) Files(dir plugin.Dir, app image.Application, o image.Options) string {
	root, err := os.OpenRoot(dir.Root)
	if err != nil {
		return "" // Read tells
	}
	defer root.Close()
	return writeback.Fingerprint(root, image.Update{App: app, Options: o})
}
