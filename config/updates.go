package config

import "errors"

// Updates are rules for what the update loop writes.
type Updates struct {
	// FirstPin is "any", or "existing": then tagpin only replaces pins that a person made.
	FirstPin FirstPin `yaml:"first-pin"`
	// AutomatedSync is "required", or "any": then Applications are updated as well that don't sync automatically. It has an effect
	// where they are verified.
	AutomatedSync AutomatedSync `yaml:"automated-sync"`
}

// A FirstPin says whether tagpin may write where nothing is pinned yet.
type FirstPin string

// The two kinds.
const (
	AnyPin       FirstPin = "any"
	ExistingPins FirstPin = "existing"
)

// UnmarshalText checks the word.
func (f *FirstPin) UnmarshalText(text []byte) error {
	if *f = FirstPin(text); *f != AnyPin && *f != ExistingPins {
		return errors.New("write any, or existing: then only a pin that a person made is replaced")
	}
	return nil
}

// An AutomatedSync says whether an Application must sync automatically to be updated.
type AutomatedSync string

// The two kinds.
const (
	RequiredSync AutomatedSync = "required"
	AnySync      AutomatedSync = "any"
)

// UnmarshalText checks the word.
func (a *AutomatedSync) UnmarshalText(text []byte) error {
	if *a = AutomatedSync(text); *a != RequiredSync && *a != AnySync {
		return errors.New("write required, or any: then Applications that don't sync automatically are updated as well")
	}
	return nil
}
