"""Looks at deploy/: prints, as JSON, what every container of compose and Kubernetes is told.

usage: deploy.py COMPOSE_FILE RENDERED_KUSTOMIZATION
The rendered resources are checked against the schemas of Kubernetes, without tolerance for what these do not know.
"""

import json
import sys

import kubernetes_validate
import yaml


def kubernetes(path):
    with open(path) as file:
        resources = [resource for resource in yaml.safe_load_all(file) if resource]
    for resource in resources:
        kubernetes_validate.validate(resource, "1.32", strict=True)
    config = next(it["data"] for it in resources if it["kind"] == "ConfigMap")
    for resource in resources:
        if resource["kind"] not in ("Deployment", "Job"):
            continue
        pod = resource["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"], resource["metadata"]["name"]
        for container in pod["containers"]:
            assert container["resources"]["limits"] and container["resources"]["requests"]
            environment = dict(config) if container.get("envFrom") else {}
            for variable in container["env"]:
                environment[variable["name"]] = variable.get("value", "secret")
            if resource["kind"] == "Deployment":
                assert container["readinessProbe"] and container["livenessProbe"]
                drain = 25
                assert pod["terminationGracePeriodSeconds"] > drain, resource["metadata"]["name"]
            yield {"name": resource["metadata"]["name"], "args": container["args"], "environment": environment}


def compose(path):
    with open(path) as file:
        services = yaml.safe_load(file)["services"]
    for name, service in services.items():
        if service["image"].startswith("segue:"):
            yield {"name": name, "args": service["command"], "environment": service.get("environment", {})}


def main():
    compose_file, rendered = sys.argv[1:]
    told = {"compose": list(compose(compose_file)), "kubernetes": list(kubernetes(rendered))}
    json.dump(told, sys.stdout)


main()
