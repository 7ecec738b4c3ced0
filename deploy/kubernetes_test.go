package deploy_test

import (
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"
)

type manifest struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Data     map[string]string
	Spec     struct {
		Replicas             int
		VolumeClaimTemplates []struct{ Metadata struct{ Name string } } `yaml:"volumeClaimTemplates"`
		Template             struct {
			Spec struct {
				Volumes    []struct{ Name string }
				Containers []struct {
					Image         string
					Args          []string
					LivenessProbe map[string]any          `yaml:"livenessProbe"`
					VolumeMounts  []struct{ Name string } `yaml:"volumeMounts"`
				}
			}
		}
	}
}

func k8sConfig(t *testing.T) string {
	t.Helper()
	for _, m := range documents[manifest](t, "deploy/k8s/stixbridge.yaml") {
		if text := m.Data["stixbridge.yaml"]; text != "" {
			return text
		}
	}
	t.Fatal("the manifest has no configuration")
	return ""
}

func TestKubernetesManifestIsConsistent(t *testing.T) {
	var kinds []string
	for _, m := range documents[manifest](t, "deploy/k8s/stixbridge.yaml") {
		kinds = append(kinds, m.Kind)
		if m.Metadata.Namespace != "stixbridge" {
			t.Errorf("%s %s: namespace %q", m.Kind, m.Metadata.Name, m.Metadata.Namespace)
		}
		if m.Kind != "StatefulSet" {
			continue
		}
		if m.Spec.Replicas != 1 {
			t.Errorf("%d replicas: the embedded event log belongs to one process", m.Spec.Replicas)
		}
		volumes := map[string]bool{}
		for _, v := range m.Spec.Template.Spec.Volumes {
			volumes[v.Name] = true
		}
		for _, v := range m.Spec.VolumeClaimTemplates {
			volumes[v.Metadata.Name] = true
		}
		if len(m.Spec.Template.Spec.Containers) != 1 {
			t.Fatalf("%d containers", len(m.Spec.Template.Spec.Containers))
		}
		c := m.Spec.Template.Spec.Containers[0]
		for _, v := range c.VolumeMounts {
			if !volumes[v.Name] {
				t.Errorf("mount of the unknown volume %s", v.Name)
			}
		}
		if !regexp.MustCompile(`^stixbridge:\d+\.\d+\.\d+$`).MatchString(c.Image) {
			t.Errorf("image %q names no version", c.Image)
		}
		if c.LivenessProbe["tcpSocket"] == nil || c.LivenessProbe["httpGet"] != nil {
			t.Errorf("the liveness probe %v would restart the bridge when a target is down", c.LivenessProbe)
		}
	}
	if diff := cmp.Diff([]string{"ConfigMap", "Service", "StatefulSet"}, kinds); diff != "" {
		t.Errorf("kinds (-want +got):\n%s", diff)
	}
}
