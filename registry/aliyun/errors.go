package aliyun

import (
	"fmt"
	"net/http"
	"strings"
)

// An Error is a refusal by the API. Like every error here it repeats nothing that the server wrote, but for a known code.
type Error struct {
	// Action is what was asked; Status the HTTP status; Code Alibaba Cloud's code if it is a known one, else empty.
	Action string
	Status int
	Code   string
	// Retryable is true where the same question may be answered later without anybody changing anything.
	Retryable bool
	// Gone is true where the repository's id means nothing any more.
	Gone bool
	// Expired is true where new keys may help.
	Expired bool
	// Problem says what is wrong and what to change.
	Problem string
}

func (e *Error) Error() string {
	switch {
	case e.Code != "":
		return fmt.Sprintf("%s: %s (%s)", e.Action, e.Problem, e.Code)
	case e.Status != 0:
		return fmt.Sprintf("%s: %s (HTTP %d)", e.Action, e.Problem, e.Status)
	}
	return e.Action + ": " + e.Problem
}

func unreadable(action string, status int) *Error {
	return &Error{Action: action, Status: status, Problem: "the answer cannot be understood: check that the endpoint is Alibaba Cloud's API"}
}

// rights is what RAM calls the action.
func rights(action string) string {
	if action == listAction {
		return "cr:ListRepositoryTag"
	}
	return "cr:" + action
}

// A meaning is what stands behind a family of codes.
type meaning struct {
	begins             []string // in the form of plain
	problem            string   // %s is the right that RAM would have to grant
	retryable          bool
	gone, expired, sts bool
}

// meanings are the codes that Alibaba Cloud documents, or that people met; the first that fits counts.
func meanings() []meaning {
	return []meaning{
		{begins: []string{"throttling"}, retryable: true,
			problem: "Alibaba Cloud limits this account's requests: they are asked again later"},
		{begins: []string{"systemerror", "internalerror", "serviceunavailable"}, retryable: true,
			problem: "Alibaba Cloud's API is failing; nothing here needs to change"},
		{begins: []string{"nopermission", "authenticationfailnopermission"}, sts: true,
			problem: "the role does not trust this service account: check its trust policy (issuer, audience sts.aliyuncs.com, " +
				"subject system:serviceaccount:<namespace>:<name>)"},
		{begins: []string{"authenticationfailoidctokenexpired", "authenticationfailidtokenexpired"}, sts: true,
			problem: "the service account's token has expired: check that the projected volume is renewed"},
		{begins: []string{"authenticationfail"}, sts: true,
			problem: "the service account's token is refused: check the OIDC provider's issuer, fingerprint and client id (sts.aliyuncs.com)"},
		{begins: []string{"entitynotexistrole"}, sts: true, problem: "there is no such RAM role: check ALIBABA_CLOUD_ROLE_ARN"},
		{begins: []string{"entitynotexist"}, sts: true, problem: "there is no such OIDC provider: check ALIBABA_CLOUD_OIDC_PROVIDER_ARN"},
		{begins: []string{"noprivilege", "forbidden", "nopermission", "accessdenied"},
			problem: "the RAM identity may not ask this: grant it %s on the instance"},
		{begins: []string{"invalidtimestamp", "illegaltimestamp"},
			problem: "this machine's clock differs from Alibaba Cloud's by more than 15 minutes: set it right"},
		{begins: []string{"signaturedoesnotmatch", "incompletesignature"},
			problem: "the AccessKey secret is wrong: check the Secret's field access-key-secret"},
		{begins: []string{"invalidaccesskeyid"},
			problem: "there is no such AccessKey, or it is disabled: check the Secret's field access-key-id"},
		{begins: []string{"invalidsecuritytoken", "missingsecuritytoken"}, expired: true,
			problem: "the temporary keys are expired or incomplete: renew the Secret, with its field security-token"},
		{begins: []string{"instancenotexist", "instancenotfound", "invalidinstance"},
			problem: "there is no such instance in this region: check instance-id and region in tagpin.yaml"},
		{begins: []string{"reponotexist", "repositorynotexist", "namespacenotexist", "reponotfound"}, gone: true,
			problem: "the instance has no such repository, or this identity may not see it: check the name, and grant %s"},
		{begins: []string{"usernotexist"},
			problem: "ACR does not know this RAM user yet: sign in to its console once as that user (cr.console.aliyun.com) and set a registry password"},
	}
}

// plain makes REPO_NOT_EXIST and RepoNotExist one: the APIs write both ways.
func plain(code string) string {
	return strings.NewReplacer("_", "", ".", "", "-", "").Replace(strings.ToLower(code))
}

func refusal(action string, status int, code string) *Error {
	e := &Error{Action: action, Status: status, Problem: "the API refuses the request: check instance-id, region and endpoint in tagpin.yaml"}
	if status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
		e.Retryable, e.Problem = true, "Alibaba Cloud's API is failing or limits requests; nothing here needs to change"
	}
	word := plain(code)
	for _, m := range meanings() {
		if m.sts && action != "AssumeRoleWithOIDC" || !beginsAny(word, m.begins) {
			continue
		}
		e.Retryable, e.Gone, e.Expired, e.Problem = m.retryable, m.gone, m.expired, m.problem
		if strings.Contains(m.problem, "%s") {
			e.Problem = fmt.Sprintf(m.problem, rights(action))
		}
		e.Code = shown(code)
		break
	}
	return e
}

func beginsAny(word string, beginnings []string) bool {
	for _, b := range beginnings {
		if strings.HasPrefix(word, b) {
			return true
		}
	}
	return false
}

// shown is a code that is fit to be repeated: it begins like a known one, and goes on like a code.
func shown(code string) string {
	const longest = 64
	if len(code) > longest || strings.ContainsFunc(code, func(r rune) bool {
		return r != '.' && r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return ""
	}
	return code
}
