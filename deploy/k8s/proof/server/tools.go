//go:build tools

// Package server names what `make .k8s/kube-apiserver` builds, so that go.mod and go.sum hold its version and all sums.
package server

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
