package registry

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"

	"github.com/tagpin/tagpin/config"
)

// acrIDRE is the grammar of an Enterprise instance's id.
var acrIDRE = regexp.MustCompile(`^cri-[a-z0-9]{1,40}$`)

// parseACRRef reads acr_instance_id and acr_region, which go together. A host that tells its region or its edition itself must
// not be contradicted.
func parseACRRef(f fileEntry, api *url.URL) (*ACRRef, error) {
	if f.ACRID == "" && f.ACRRegion == "" {
		return nil, nil //nolint:nilnil // nothing is said
	}
	if f.ACRID == "" || f.ACRRegion == "" {
		return nil, errors.New("acr_instance_id and acr_region go together: write both")
	}
	var id config.ACRInstanceID
	if err := id.UnmarshalText([]byte(f.ACRID)); err != nil {
		return nil, err
	}
	if err := checkRegion(f.ACRRegion); err != nil {
		return nil, err
	}
	if api != nil {
		switch h, ok := parseACR(api.Hostname()); {
		case ok && h.edition != enterprise:
			return nil, errors.New("the host is a personal registry's: leave acr_instance_id out")
		case ok && h.region != f.ACRRegion:
			return nil, fmt.Errorf("the host is in %s: correct acr_region", h.region)
		}
	}
	return &ACRRef{string(id), f.ACRRegion}, nil
}

// checkRegion knows the regions, since their names become parts of host names.
func checkRegion(region string) error {
	if !slices.Contains(acrRegions(), region) {
		return fmt.Errorf("%q is no region of ACR: did you mean %q?", region, nearest(region, acrRegions()))
	}
	return nil
}

// checkInstances holds tagpin.yaml and registries.conf together.
func checkInstances(settings config.ACR, entries []Endpoint) error {
	for _, i := range settings.Instances {
		if err := checkRegion(string(i.Region)); err != nil {
			return fmt.Errorf("tagpin.yaml: acr: instance %s: region: %w", i.ID, err)
		}
	}
	for _, e := range entries {
		if e.ACR == nil {
			continue
		}
		i, listed := settings.Instance(e.ACR.ID)
		h, known := e.acrHost()
		switch {
		case !listed:
		case string(i.Region) != e.ACR.Region:
			return fmt.Errorf("registries.conf: registry %q: acr_region: tagpin.yaml has instance %s in %s: correct one of them",
				e.Name, e.ACR.ID, i.Region)
		case known && h.instance != string(i.Name):
			return fmt.Errorf("registries.conf: registry %q: acr_instance_id: the host is that of %q, and tagpin.yaml has instance %s as %q: "+
				"correct one of them", e.Name, h.instance, e.ACR.ID, i.Name)
		}
	}
	return nil
}
