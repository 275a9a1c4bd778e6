package upgrade

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// Resolve finds the reference that an operator's word means: a reference or a
// place as it is; a version, by the list of releases or as a tag of the
// repository image; nothing, the list's current one. list is asked only when
// it is needed, and may answer with nothing.
func Resolve(word, image string, list func() (current string, available []string, err error)) (string, error) {
	if strings.ContainsAny(word, "/:") || word == "." {
		return word, nil
	}
	current, available, err := list()
	if word == "" {
		switch {
		case err != nil:
			return "", err
		case current == "":
			return "", errors.New("cannot tell which release: name one, or set rancher.upgrade.url to a list of releases")
		}
		return current, nil
	}
	at := slices.IndexFunc(available, func(ref string) bool { return VersionOf(ref) == word })
	switch {
	case at >= 0:
		return available[at], nil
	case image != "":
		return image + ":" + word, nil
	case err != nil:
		return "", err
	case len(available) == 0:
		return "", fmt.Errorf("cannot tell where release %s is: there is no list of releases (rancher.upgrade.url) and no repository (rancher.upgrade.image)", word)
	}
	var versions []string
	for _, ref := range available {
		versions = append(versions, VersionOf(ref))
	}
	return "", fmt.Errorf("the list has no release %s; it has %s", word, strings.Join(versions, ", "))
}

// VersionOf is the version that a reference names: its tag, or for a file its
// name without what stands around it ("…/roster-v1.2.tar" is v1.2).
func VersionOf(ref string) string {
	ref, _, _ = strings.Cut(ref, "@")
	if _, tag, ok := strings.Cut(ref, "#"); ok {
		return tag
	}
	last := path.Base(ref)
	if _, tag, ok := strings.Cut(last, ":"); ok {
		return tag
	}
	last = strings.TrimSuffix(last, ".tar")
	return strings.TrimPrefix(last, "roster-")
}
