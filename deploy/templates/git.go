package templates

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"strings"
	"sync"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/http"
	"github.com/go-git/go-git/v5/storage/memory"

	"twokey/deploy"
	"twokey/ops"
)

// Repository is a git repository.
type Repository struct {
	// URL is https://…, or a directory of this machine. It has no user information.
	URL string
	// Username and Token sign in over HTTPS; an empty Token: nobody does. Most servers take
	// any user name with a token.
	Username, Token string
}

// Tree is a repository at one commit.
type Tree struct {
	Repository string
	Commit     string // full hash
	root       *object.Tree
}

// fullHash is a whole commit hash.
var fullHash = regexp.MustCompile(`^[0-9a-f]{40}$`)

// Tree returns a repository at a commit, tag or branch.
func (s Sources) Tree(ctx context.Context, name, at string) (Tree, error) {
	return s.tree(ctx, name, at)
}

func (s Sources) tree(ctx context.Context, name, at string) (Tree, error) {
	r, ok := s.Repositories[name]
	if !ok {
		return Tree{}, &ops.UserError{What: fmt.Sprintf("there is no repository %s in the configuration of this environment", name), Next: s.repositories()}
	}
	if at == "" {
		return Tree{}, &ops.UserError{What: fmt.Sprintf("which commit of %s?", name), Next: "Give --ref COMMIT, a tag or a branch."}
	}
	repo, hash, err := r.open(ctx, at)
	if err != nil {
		return Tree{}, r.explain(name, at, err)
	}
	commit, err := repo.CommitObject(hash)
	if err != nil {
		return Tree{}, r.explain(name, at, err)
	}
	root, err := commit.Tree()
	if err != nil {
		return Tree{}, r.explain(name, at, err)
	}
	return Tree{Repository: name, Commit: hash.String(), root: root}, nil
}

// opened are the commits fetched last. A step that works on a commit for minutes asks for it
// at each call, and a commit does not change.
var opened = struct {
	sync.Mutex
	commits map[openedKey]*git.Repository
	order   []openedKey
}{commits: make(map[openedKey]*git.Repository)}

type openedKey struct {
	Repository
	commit string
}

// maxOpened is how many commits are remembered: all their files are in memory.
const maxOpened = 3

// open has the objects of one commit.
func (r Repository) open(ctx context.Context, at string) (*git.Repository, plumbing.Hash, error) {
	key := openedKey{r, at}
	if fullHash.MatchString(at) {
		opened.Lock()
		repo, ok := opened.commits[key]
		opened.Unlock()
		if ok {
			return repo, plumbing.NewHash(at), nil
		}
	}
	repo, hash, err := r.fetch(ctx, at)
	if err != nil || !strings.Contains(r.URL, "://") {
		return repo, hash, err
	}
	key.commit = hash.String()
	opened.Lock()
	defer opened.Unlock()
	if _, ok := opened.commits[key]; !ok {
		if len(opened.order) == maxOpened {
			delete(opened.commits, opened.order[0])
			opened.order = opened.order[1:]
		}
		opened.commits[key], opened.order = repo, append(opened.order, key)
	}
	return repo, hash, nil
}

// fetch reads one commit from where the repository is.
func (r Repository) fetch(ctx context.Context, at string) (*git.Repository, plumbing.Hash, error) {
	if !strings.Contains(r.URL, "://") {
		repo, err := git.PlainOpenWithOptions(r.URL, &git.PlainOpenOptions{})
		if err != nil {
			return nil, plumbing.ZeroHash, err
		}
		hash, err := resolve(repo, at)
		return repo, hash, err
	}
	repo, err := git.Init(memory.NewStorage(), nil)
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	remote, err := repo.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{r.URL}})
	if err != nil {
		return nil, plumbing.ZeroHash, err
	}
	var auth transport.AuthMethod
	if r.Token != "" {
		auth = &http.BasicAuth{Username: r.Username, Password: r.Token}
		if r.Username == "" {
			auth = &http.BasicAuth{Username: "twokey", Password: r.Token}
		}
	}
	hash := plumbing.NewHash(at)
	if !fullHash.MatchString(at) {
		refs, err := remote.ListContext(ctx, &git.ListOptions{Auth: auth, PeelingOption: git.AppendPeeled})
		if err != nil {
			return nil, plumbing.ZeroHash, err
		}
		if hash, err = among(refs, at); err != nil {
			return nil, plumbing.ZeroHash, err
		}
	}
	// The one commit without its history, where the server lets it be asked for.
	spec := config.RefSpec(hash.String() + ":refs/twokey/wanted")
	err = remote.FetchContext(ctx, &git.FetchOptions{RefSpecs: []config.RefSpec{spec}, Depth: 1, Auth: auth, Tags: git.NoTags})
	if err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate) {
		all := []config.RefSpec{"+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"}
		if err := remote.FetchContext(ctx, &git.FetchOptions{RefSpecs: all, Auth: auth}); err != nil && !errors.Is(err, git.NoErrAlreadyUpToDate) {
			return nil, plumbing.ZeroHash, err
		}
	}
	return repo, hash, nil
}

// errNoRef says that a repository has no such commit, tag or branch.
var errNoRef = errors.New("no such commit, tag or branch")

// resolve finds a commit in a repository of this machine.
func resolve(repo *git.Repository, at string) (plumbing.Hash, error) {
	hash, err := repo.ResolveRevision(plumbing.Revision(at))
	if err != nil {
		return plumbing.ZeroHash, errNoRef
	}
	return *hash, nil
}

// among finds a tag or branch among the references of a server. A tag goes before a branch
// of its name.
func among(refs []*plumbing.Reference, at string) (plumbing.Hash, error) {
	byName := map[string]plumbing.Hash{}
	for _, r := range refs {
		byName[r.Name().String()] = r.Hash()
	}
	for _, name := range []string{"refs/tags/" + at + "^{}", "refs/tags/" + at, "refs/heads/" + at, at} {
		if h, ok := byName[name]; ok {
			return h, nil
		}
	}
	return plumbing.ZeroHash, errNoRef
}

// explain turns an error of git into one for the person who asked.
func (r Repository) explain(name, at string, err error) error {
	e := &ops.UserError{Err: err}
	switch {
	case errors.Is(err, errNoRef), errors.Is(err, plumbing.ErrObjectNotFound), errors.Is(err, plumbing.ErrReferenceNotFound):
		e.What = fmt.Sprintf("%s has no commit, tag or branch %s", name, at)
		e.Next = "Check --ref; a commit is given whole, with its 40 digits."
	case errors.Is(err, transport.ErrAuthenticationRequired), errors.Is(err, transport.ErrAuthorizationFailed):
		e.What = fmt.Sprintf("the server of repository %s does not let Twokey in", name)
		e.Next = "Check the repository's token in the configuration."
	case errors.Is(err, transport.ErrRepositoryNotFound), errors.Is(err, git.ErrRepositoryNotExists):
		e.What = fmt.Sprintf("repository %s is not where the configuration says", name)
		e.Next = "Check its URL."
	case errors.Is(err, context.DeadlineExceeded):
		e.What = fmt.Sprintf("repository %s did not answer in time", name)
		e.Next = "Try again."
	default:
		e.What = fmt.Sprintf("repository %s cannot be read: %s", name, deploy.Short(deploy.Mask(err.Error()), 200))
		e.Next = "Twokey's log has the details."
	}
	return e
}

// String is "waffle@3f2c1ab9d0e4".
func (t Tree) String() string { return t.Repository + "@" + t.Commit[:12] }

// file reads one file.
func (t Tree) file(name string) (File, error) {
	f, err := t.root.File(strings.TrimPrefix(path.Clean("/"+name), "/"))
	if errors.Is(err, object.ErrFileNotFound) || errors.Is(err, object.ErrDirectoryNotFound) || errors.Is(err, object.ErrEntryNotFound) {
		return File{}, missing(name, t.String(), t.names())
	}
	if err != nil {
		return File{}, fmt.Errorf("read %s of %s: %w", name, t, err)
	}
	r, err := f.Reader()
	if err != nil {
		return File{}, fmt.Errorf("read %s of %s: %w", name, t, err)
	}
	defer r.Close()
	body, err := limited(r, name)
	return File{Body: body, Origin: t.String() + ":" + f.Name, Commit: t.Commit}, err
}

// names are the files' names, some hundreds at most.
func (t Tree) names() []string {
	var names []string
	_ = t.root.Files().ForEach(func(f *object.File) error {
		if names = append(names, f.Name); len(names) >= 500 {
			return io.EOF // there is merely less to suggest
		}
		return nil
	})
	return names
}

// TreeFile is a file of a tree: its name below the directory asked for, and how to read it.
type TreeFile struct {
	Name string
	Size int64
	open func() (io.ReadCloser, error)
}

// Open reads the file.
func (f TreeFile) Open() (io.ReadCloser, error) { return f.open() }

// Files lists the regular files below a directory, by name. Symbolic links and submodules
// are left out.
func (t Tree) Files(dir string) ([]TreeFile, error) {
	dir = strings.Trim(path.Clean("/"+dir), "/")
	root := t.root
	if dir != "" {
		var err error
		if root, err = t.root.Tree(dir); err != nil {
			return nil, missing(dir, t.String(), nil)
		}
	}
	var files []TreeFile
	err := root.Files().ForEach(func(f *object.File) error {
		if f.Mode.IsFile() && f.Mode != filemode.Symlink {
			files = append(files, TreeFile{Name: f.Name, Size: f.Size, open: f.Reader})
		}
		return nil
	})
	return files, err
}
