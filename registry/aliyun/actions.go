package aliyun

import (
	"context"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The versions of the two APIs.
const (
	acrVersion = "2018-12-01"
	stsVersion = "2015-04-01"
)

const (
	pageSize = 100 // ListRepoTag gives no more
	// maxPages bounds a list; one of 200,000 tags is nothing to choose from.
	maxPages = 2000
	// maxReadings is how often a list is read that changes under the reader.
	maxReadings = 3
	// sessionName shows in the account's audit trail.
	sessionName = "tagpin"
)

// An Instance is an ACR Enterprise instance, as it is asked now.
type Instance struct {
	// Host is the API's endpoint: cr.<region>.aliyuncs.com, or cr-vpc.<region>.aliyuncs.com.
	Host string
	// ID is cri-….
	ID string
}

// A Login is a temporary one, good for this instance alone.
type Login struct {
	User, Password string
	// Expires is by this machine's clock.
	Expires time.Time
}

// String keeps the password out of logs.
func (l Login) String() string { return "temporary login " + l.User }

// GoString is String.
func (l Login) GoString() string { return l.String() }

// A Tag is one that ListRepoTag gave. Tags that are being deleted are left out.
type Tag struct {
	Name string
	// Digest is "sha256:…", or empty. What ACR writes there for an index is not documented.
	Digest string
	// Updated is ImageUpdate, the time of the last push; zero when ACR gives none.
	Updated time.Time
}

// Login asks GetAuthorizationToken. The identity needs cr:GetAuthorizationToken, and for what the login then does
// cr:PullRepository.
func (c *Client) Login(ctx context.Context, at Instance, keys Keys) (Login, error) {
	const action = "GetAuthorizationToken"
	var answer struct {
		TempUsername, AuthorizationToken string
		ExpireTime                       number
	}
	q := question{host: at.Host, action: action, version: acrVersion, query: url.Values{"InstanceId": {at.ID}}, keys: &keys}
	ahead, err := c.ask(ctx, q, &answer)
	switch {
	case err != nil:
		return Login{}, err
	case answer.TempUsername == "" || answer.AuthorizationToken == "" || answer.ExpireTime == 0:
		return Login{}, unreadable(action, 0)
	}
	return Login{answer.TempUsername, answer.AuthorizationToken, answer.ExpireTime.time().Add(-ahead)}, nil
}

// RepositoryID asks GetRepository for a repository "<namespace>/<name>". The identity needs cr:GetRepository.
func (c *Client) RepositoryID(ctx context.Context, at Instance, keys Keys, repository string) (string, error) {
	const action = "GetRepository"
	namespace, name, _ := strings.Cut(repository, "/")
	var answer struct{ RepoId string } //nolint:revive // ACR's spelling
	q := question{host: at.Host, action: action, version: acrVersion, keys: &keys, query: url.Values{
		"InstanceId": {at.ID}, "RepoNamespaceName": {namespace}, "RepoName": {name},
	}}
	if _, err := c.ask(ctx, q, &answer); err != nil {
		return "", err
	}
	if answer.RepoId == "" {
		return "", unreadable(action, 0)
	}
	return answer.RepoId, nil
}

// Tags asks ListRepoTag for all pages. It is never a part of the list: one that changes while it is read is read again,
// and then an error that may pass. The identity needs cr:ListRepositoryTag.
func (c *Client) Tags(ctx context.Context, at Instance, keys Keys, repositoryID string) ([]Tag, error) {
	for range maxReadings {
		tags, whole, err := c.readTags(ctx, at, keys, repositoryID)
		if err != nil || whole {
			return tags, err
		}
	}
	return nil, &Error{Action: listAction, Retryable: true, Problem: "the list of tags changes faster than it can be read"}
}

const listAction = "ListRepoTag"

type tagPage struct {
	TotalCount *number // nil: this is no list
	Images     []struct {
		Tag, Digest, Status string
		ImageUpdate         number
	}
}

// readTags reads the pages once. whole is false when fewer tags came than the registry counts.
func (c *Client) readTags(ctx context.Context, at Instance, keys Keys, repositoryID string) (tags []Tag, whole bool, err error) {
	seen := map[string]bool{}
	for n := 1; n <= maxPages; n++ {
		var page tagPage
		q := question{host: at.Host, action: listAction, version: acrVersion, keys: &keys, query: url.Values{
			"InstanceId": {at.ID}, "RepoId": {repositoryID}, "PageNo": {strconv.Itoa(n)}, "PageSize": {strconv.Itoa(pageSize)},
		}}
		if _, err := c.ask(ctx, q, &page); err != nil {
			return nil, false, err
		}
		if page.TotalCount == nil {
			return nil, false, unreadable(listAction, 0)
		}
		total := int(*page.TotalCount)
		for _, i := range page.Images {
			if !seen[i.Tag] && i.Status != "DELETING" {
				tags = append(tags, Tag{i.Tag, digest(i.Digest), i.ImageUpdate.time()})
			}
			seen[i.Tag] = true
		}
		// The total may grow meanwhile; that of the last page counts.
		if len(page.Images) < pageSize || n*pageSize >= total {
			slices.SortFunc(tags, func(a, b Tag) int { return strings.Compare(a.Name, b.Name) })
			return tags, len(seen) >= total, nil
		}
	}
	return nil, false, &Error{Action: listAction, Problem: "the repository has more tags than are read"}
}

// digest adds the algorithm that ACR leaves out.
func digest(s string) string {
	if s == "" || strings.Contains(s, ":") {
		return s
	}
	return "sha256:" + s
}

// A Role is assumed with the token of a Kubernetes service account (RRSA).
type Role struct {
	// Host is the STS endpoint: sts.<region>.aliyuncs.com, or sts-vpc.<region>.aliyuncs.com.
	Host string
	// ARN and ProviderARN name the RAM role and the OIDC provider; Token is the service account's.
	ARN, ProviderARN, Token string
}

// AssumeRole asks AssumeRoleWithOIDC, which takes no signature: the token is the proof. It travels in the body.
func (c *Client) AssumeRole(ctx context.Context, role Role) (Keys, error) {
	const action = "AssumeRoleWithOIDC"
	var answer struct {
		Credentials struct {
			AccessKeyId, AccessKeySecret, SecurityToken string //nolint:revive // Alibaba Cloud's spelling
			Expiration                                  time.Time
		}
	}
	q := question{
		host: role.Host, action: action, version: stsVersion,
		query: url.Values{
			"Action": {action}, "Version": {stsVersion}, "Format": {"JSON"}, "Timestamp": {c.now().UTC().Format(timeLayout)},
		},
		form: url.Values{
			"RoleArn": {role.ARN}, "OIDCProviderArn": {role.ProviderARN}, "OIDCToken": {role.Token}, "RoleSessionName": {sessionName},
		},
	}
	ahead, err := c.ask(ctx, q, &answer)
	got := answer.Credentials
	switch {
	case err != nil:
		return Keys{}, err
	case got.AccessKeyId == "" || got.AccessKeySecret == "" || got.SecurityToken == "" || got.Expiration.IsZero():
		return Keys{}, unreadable(action, 0)
	}
	return Keys{got.AccessKeyId, got.AccessKeySecret, got.SecurityToken, got.Expiration.Add(-ahead)}, nil
}
