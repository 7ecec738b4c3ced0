package deploy_test

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// pinned says whether an image names one version. Our own images are built from here.
func pinned(image string) bool {
	if strings.HasPrefix(image, "stixbridge:") {
		return true
	}
	_, tag, ok := strings.Cut(image, ":")
	return ok && regexp.MustCompile(`^\d+\.\d+\.\d+`).MatchString(tag)
}

func TestImagesFollowTheModule(t *testing.T) {
	module := read(t, "go.mod")
	version := func(pattern string) string {
		m := regexp.MustCompile(pattern).FindStringSubmatch(module)
		if m == nil {
			t.Fatalf("go.mod has no %s", pattern)
		}
		return m[1]
	}
	nats := version(`github.com/nats-io/nats-server/v2 v(\S+)`)
	if got := documents[compose](t, "docker-compose.yml")[0].Services["nats-1"].Image; got != "nats:"+nats+"-alpine" {
		t.Errorf("image %s, but go.mod has nats-server %s", got, nats)
	}

	image := regexp.MustCompile(`(?m)^FROM golang:(\S+)`).FindStringSubmatch(read(t, "deploy/Dockerfile"))
	if image == nil {
		t.Fatal("the Dockerfile has no golang stage")
	}
	if want := version(`(?m)^go (\S+)`); older(t, image[1], want) {
		t.Errorf("image golang:%s is older than go.mod's %s", image[1], want)
	}
}

// older compares versions of three numbers.
func older(t *testing.T, a, b string) bool {
	t.Helper()
	numbers := func(s string) (n []int) {
		for part := range strings.SplitSeq(s, ".") {
			i, err := strconv.Atoi(part)
			if err != nil {
				t.Fatalf("version %q: %v", s, err)
			}
			n = append(n, i)
		}
		return n
	}
	return slices.Compare(numbers(a), numbers(b)) < 0
}

func TestDockerfileRunsAsNobodyAndAsksForHealth(t *testing.T) {
	text := read(t, "deploy/Dockerfile")
	for _, want := range []string{"\nUSER 65532:65532\n", "\nHEALTHCHECK ", `"stixbridge", "status"`, "\nFROM scratch\n", "-X main.version=", "\nSTOPSIGNAL SIGTERM\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	}
	for _, m := range regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(text, -1) {
		if m[1] != "scratch" && !pinned(m[1]) {
			t.Errorf("image %s names no version", m[1])
		}
	}
	flags := regexp.MustCompile(`-X main\.\w+=`)
	if a, b := flags.FindString(text), flags.FindString(read(t, "Makefile")); a != b {
		t.Errorf("the Dockerfile sets %q, the Makefile %q", a, b)
	}
}
