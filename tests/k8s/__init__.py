"""The manifests of deploy/k8s, as each overlay renders them, held against the code."""
