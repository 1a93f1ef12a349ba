package awssim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Image is a simulated image.
type Image struct {
	Digest   string
	Tags     []string
	Pushed   time.Time
	Parts    []string // digests of the parts of one of several platforms
	Manifest string   // empty: made of the digest
}

// Registry is a simulated repository of images.
type Registry struct {
	Images    []Image
	Immutable bool
}

type imageID struct {
	ImageDigest string `json:"imageDigest,omitempty"`
	ImageTag    string `json:"imageTag,omitempty"`
}

func (i Image) manifest() (text, media string) {
	if len(i.Parts) > 0 {
		var parts []string
		for _, p := range i.Parts {
			parts = append(parts, fmt.Sprintf(`{"digest":%q}`, p))
		}
		return fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s]}`, strings.Join(parts, ",")), "application/vnd.oci.image.index.v1+json"
	}
	return fmt.Sprintf(`{"schemaVersion":2,"config":{"digest":%q}}`, i.Digest), "application/vnd.oci.image.manifest.v1+json"
}

// SetRegistry makes or replaces a repository.
func (s *Sim) SetRegistry(name string, r Registry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.registries[name] = &r
}

// Images are the images of a repository.
func (s *Sim) Images(name string) []Image {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.registries[name]; r != nil {
		return slices.Clone(r.Images)
	}
	return nil
}

func (r *Registry) at(id imageID) int {
	return slices.IndexFunc(r.Images, func(i Image) bool {
		return (id.ImageDigest == "" || i.Digest == id.ImageDigest) && (id.ImageTag == "" || slices.Contains(i.Tags, id.ImageTag))
	})
}

func (s *Sim) ecr() {
	absent := func(name string) *Fault {
		return &Fault{Code: "RepositoryNotFoundException", Message: fmt.Sprintf("The repository with name '%s' does not exist in the registry with id '%s'", name, s.account)}
	}
	type repository map[string]any
	describe := func(name string) repository {
		mutability := "MUTABLE"
		if s.registries[name].Immutable {
			mutability = "IMMUTABLE"
		}
		return repository{"repositoryName": name, "imageTagMutability": mutability, "registryId": s.account,
			"repositoryUri": s.account + ".dkr.ecr." + s.region + ".amazonaws.com/" + name}
	}
	s.json["ecr.DescribeRepositories"] = on(func(in struct{ RepositoryNames []string }) (any, *Fault) {
		names := in.RepositoryNames
		if names == nil {
			names = slices.Sorted(maps.Keys(s.registries))
		}
		list := []repository{}
		for _, n := range names {
			if s.registries[n] == nil {
				return nil, absent(n)
			}
			list = append(list, describe(n))
		}
		return map[string]any{"repositories": list}, nil
	})
	s.json["ecr.CreateRepository"] = on(func(in struct{ RepositoryName string }) (any, *Fault) {
		if s.registries[in.RepositoryName] != nil {
			return nil, &Fault{Code: "RepositoryAlreadyExistsException"}
		}
		s.registries[in.RepositoryName] = &Registry{}
		return map[string]any{"repository": describe(in.RepositoryName)}, nil
	})
	s.json["ecr.DescribeImages"] = on(func(in struct {
		RepositoryName string
		ImageIDs       []imageID `json:"imageIds"`
		NextToken      string
	}) (any, *Fault) {
		r := s.registries[in.RepositoryName]
		if r == nil {
			return nil, absent(in.RepositoryName)
		}
		images := r.Images
		if in.ImageIDs != nil {
			images = nil
			for _, id := range in.ImageIDs {
				i := r.at(id)
				if i < 0 {
					return nil, &Fault{Code: "ImageNotFoundException", Message: "The image does not exist"}
				}
				images = append(images, r.Images[i])
			}
		}
		page, next, fault := cut(images, in.NextToken, s.page)
		if fault != nil {
			return nil, fault
		}
		list := []map[string]any{}
		for _, i := range page {
			_, media := i.manifest()
			list = append(list, map[string]any{"imageDigest": i.Digest, "imageTags": i.Tags, "imagePushedAt": float64(i.Pushed.UnixMilli()) / 1000,
				"imageSizeInBytes": 50 << 20, "imageManifestMediaType": media, "repositoryName": in.RepositoryName})
		}
		out := map[string]any{"imageDetails": list}
		if next != "" {
			out["nextToken"] = next
		}
		return out, nil
	})
	s.json["ecr.BatchGetImage"] = on(func(in struct {
		RepositoryName string
		ImageIDs       []imageID `json:"imageIds"`
	}) (any, *Fault) {
		r := s.registries[in.RepositoryName]
		if r == nil {
			return nil, absent(in.RepositoryName)
		}
		list := []map[string]any{}
		for _, id := range in.ImageIDs {
			if i := r.at(id); i >= 0 {
				text, media := r.Images[i].manifest()
				list = append(list, map[string]any{"imageId": imageID{r.Images[i].Digest, ""}, "imageManifest": text, "imageManifestMediaType": media})
			}
		}
		return map[string]any{"images": list}, nil
	})
	s.json["ecr.PutImage"] = on(func(in struct {
		RepositoryName, ImageManifest, ImageTag string
	}) (any, *Fault) {
		r := s.registries[in.RepositoryName]
		if r == nil {
			return nil, absent(in.RepositoryName)
		}
		for i := range r.Images {
			if text, _ := r.Images[i].manifest(); text != in.ImageManifest {
				continue
			}
			if slices.Contains(r.Images[i].Tags, in.ImageTag) {
				return nil, &Fault{Code: "ImageAlreadyExistsException"}
			}
			for j := range r.Images {
				r.Images[j].Tags = slices.DeleteFunc(slices.Clone(r.Images[j].Tags), func(t string) bool { return t == in.ImageTag })
			}
			r.Images[i].Tags = append(r.Images[i].Tags, in.ImageTag)
			return map[string]any{"image": map[string]any{"imageId": imageID{r.Images[i].Digest, in.ImageTag}}}, nil
		}
		return nil, &Fault{Code: "LayersNotFoundException"}
	})
	s.json["ecr.BatchDeleteImage"] = on(func(in struct {
		RepositoryName string
		ImageIDs       []imageID `json:"imageIds"`
	}) (any, *Fault) {
		r := s.registries[in.RepositoryName]
		if r == nil {
			return nil, absent(in.RepositoryName)
		}
		if len(in.ImageIDs) > 100 {
			return nil, &Fault{Code: "InvalidParameterException"}
		}
		gone, failures := []imageID{}, []map[string]any{}
		for _, id := range in.ImageIDs {
			i := r.at(id)
			fail := func(code string) { failures = append(failures, map[string]any{"imageId": id, "failureCode": code}) }
			if i < 0 {
				fail("ImageNotFound")
				continue
			}
			x := &r.Images[i]
			if id.ImageTag != "" && len(x.Tags) > 1 {
				x.Tags = slices.DeleteFunc(slices.Clone(x.Tags), func(t string) bool { return t == id.ImageTag })
				gone = append(gone, id)
				continue
			}
			if slices.ContainsFunc(r.Images, func(y Image) bool { return slices.Contains(y.Parts, x.Digest) }) {
				fail("ImageReferencedByManifestList")
				continue
			}
			gone = append(gone, id)
			r.Images = slices.Delete(slices.Clone(r.Images), i, i+1)
		}
		return map[string]any{"imageIds": gone, "failures": failures}, nil
	})
}
