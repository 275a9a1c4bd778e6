package main

import (
	"debug/buildinfo"
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// The SBOM is one SPDX 2.3 document in JSON: every Debian package of every
// image and of the kernel, every program of ours and the Go modules that are
// linked into it. Licences are those of the packages' own files, which a list
// made by a machine would only guess.

const noAssertion = "NOASSERTION"

type spdxDocument struct {
	Version       string             `json:"spdxVersion"`
	License       string             `json:"dataLicense"`
	ID            string             `json:"SPDXID"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	Creation      spdxCreation       `json:"creationInfo"`
	Packages      []spdxPackage      `json:"packages"`
	Relationships []spdxRelationship `json:"relationships"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	ID               string         `json:"SPDXID"`
	Name             string         `json:"name"`
	Version          string         `json:"versionInfo,omitempty"`
	Purpose          string         `json:"primaryPackagePurpose,omitempty"`
	DownloadLocation string         `json:"downloadLocation"`
	FilesAnalyzed    bool           `json:"filesAnalyzed"`
	LicenseConcluded string         `json:"licenseConcluded"`
	LicenseDeclared  string         `json:"licenseDeclared"`
	Copyright        string         `json:"copyrightText"`
	References       []spdxExternal `json:"externalRefs,omitempty"`
}

type spdxExternal struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	From string `json:"spdxElementId"`
	Type string `json:"relationshipType"`
	To   string `json:"relatedSpdxElement"`
}

// sbom collects packages; the same one in two images stands in it once.
type sbom struct {
	packages      map[string]spdxPackage
	relationships map[spdxRelationship]bool
}

var notInID = regexp.MustCompile(`[^A-Za-z0-9.-]+`)

func (s *sbom) add(parent, relation string, p spdxPackage, purl string) string {
	p.ID = "SPDXRef-" + notInID.ReplaceAllString(p.ID, "-")
	p.DownloadLocation, p.LicenseConcluded, p.LicenseDeclared, p.Copyright = noAssertion, noAssertion, noAssertion, noAssertion
	if purl != "" {
		p.References = []spdxExternal{{"PACKAGE-MANAGER", "purl", purl}}
	}
	s.packages[p.ID] = p
	s.relationships[spdxRelationship{parent, relation, p.ID}] = true
	return p.ID
}

func (s *sbom) deb(image string, d deb) error {
	fields := strings.Split(strings.TrimSuffix(d.File, ".deb"), "_")
	if len(fields) != 3 {
		return fmt.Errorf("package file %q has no version in its name", d.File)
	}
	version, err := url.PathUnescape(fields[1])
	if err != nil {
		return err
	}
	purl := fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s&distro=trixie", url.PathEscape(d.Package), url.QueryEscape(version), fields[2])
	s.add(image, "CONTAINS", spdxPackage{ID: "deb-" + d.Package + "-" + version + "-" + fields[2], Name: d.Package, Version: version}, purl)
	return nil
}

// program adds a Go program, the compiler's library and the modules in it, as
// the compiler noted them.
func (s *sbom) program(parent, version string, p program, file string) error {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot tell what %s is made of: %w", p.name, err)
	}
	id := s.add(parent, "CONTAINS", spdxPackage{ID: "program-" + p.name, Name: p.name, Version: version, Purpose: "APPLICATION"}, "")
	goVersion := strings.TrimPrefix(info.GoVersion, "go")
	s.add(id, "DEPENDS_ON", spdxPackage{ID: "go-stdlib-" + goVersion, Name: "stdlib", Version: goVersion}, "pkg:golang/stdlib@"+goVersion)
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		s.add(id, "DEPENDS_ON", spdxPackage{ID: "go-" + m.Path + "-" + m.Version, Name: m.Path, Version: m.Version},
			"pkg:golang/"+m.Path+"@"+url.PathEscape(m.Version))
	}
	return nil
}

// writeSBOM makes sbom.spdx.json of what was built.
func (f *forge) writeSBOM() error {
	s := &sbom{map[string]spdxPackage{}, map[spdxRelationship]bool{}}
	top := s.add("SPDXRef-DOCUMENT", "DESCRIBES",
		spdxPackage{ID: "roster", Name: "roster", Version: f.version, Purpose: "OPERATING-SYSTEM"}, "")
	recipes, err := f.recipes()
	if err != nil {
		return err
	}
	for _, r := range recipes {
		image := s.add(top, "CONTAINS", spdxPackage{ID: "image-" + r.folder, Name: r.Name, Version: f.version, Purpose: "CONTAINER"}, "")
		if r.from != nil {
			s.relationships[spdxRelationship{image, "DEPENDS_ON", "SPDXRef-image-" + r.from.folder}] = true
		}
		for _, d := range r.debs {
			if err := s.deb(image, d); err != nil {
				return err
			}
		}
	}
	kernel, err := f.kernelDebs()
	if err != nil {
		return err
	}
	for _, d := range kernel {
		if err := s.deb(top, d); err != nil {
			return err
		}
	}
	for _, p := range slices.Concat(ours, theirs) {
		if err := s.program(top, f.version, p, filepath.Join(f.shared, "bin", p.name)); err != nil {
			return err
		}
	}
	text, err := s.document(f)
	if err != nil {
		return err
	}
	return writeIfNew(f.osFile(sbomFile), text)
}

func (s *sbom) document(f *forge) ([]byte, error) {
	d := spdxDocument{
		Version: "SPDX-2.3", License: "CC0-1.0", ID: "SPDXRef-DOCUMENT",
		Name:     fmt.Sprintf("roster-%s-%s-%s", f.version, f.arch.Name, f.flavour),
		Creation: spdxCreation{flatTime.UTC().Format("2006-01-02T15:04:05Z"), []string{"Tool: forge-" + f.version}},
	}
	for _, p := range s.packages {
		d.Packages = append(d.Packages, p)
	}
	slices.SortFunc(d.Packages, func(a, b spdxPackage) int { return strings.Compare(a.ID, b.ID) })
	for r := range s.relationships {
		d.Relationships = append(d.Relationships, r)
	}
	slices.SortFunc(d.Relationships, func(a, b spdxRelationship) int {
		return strings.Compare(a.From+" "+a.Type+" "+a.To, b.From+" "+b.Type+" "+b.To)
	})
	// A document is named after what it says, so two builds name it alike.
	d.Namespace = "https://spdx.org/spdxdocs/" + d.Name + "-" + hash(d)[:32]
	text, err := json.MarshalIndent(d, "", " ")
	return append(text, '\n'), err
}
