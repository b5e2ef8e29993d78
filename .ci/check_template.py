"""Expands template.yaml as CloudFormation will, and checks what the function may do and who may invoke it.

Run by .ci/run with the Python that has aws-sam-translator. Exits 1 and names every fault.
"""

import json
import sys

from cfnlint.decode import cfn_yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

REGION = "us-east-1"


def expand(path):
    """The template with every serverless resource replaced by the plain ones it stands for."""
    template = json.loads(json.dumps(cfn_yaml.load(path)))
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            # The translator takes uploaded code only.
            resource["Properties"]["CodeUri"] = {"Bucket": "bucket", "Key": "key"}
    defaults = {name: value.get("Default", "") for name, value in template["Parameters"].items()}
    return Translator({}, Parser(), boto_session=Region()).translate(template, defaults)


class Region:
    """The one thing that the translator asks of a session."""

    region_name = REGION


def faults(template):
    """Each thing that is wrong with the expanded template, as a sentence."""
    resources = template["Resources"]

    def of_type(kind):
        return [(name, resource["Properties"]) for name, resource in resources.items() if resource["Type"] == kind]

    roles = of_type("AWS::IAM::Role")
    if len(roles) != 1:
        yield f"one role expected, found {len(roles)}"
    for name, role in roles:
        if role.get("ManagedPolicyArns"):
            yield f"{name}: has managed policies"
        for policy in role["Policies"]:
            # A policy that depends on a condition: the one that holds when it does.
            policy = policy["Fn::If"][1] if "Fn::If" in policy else policy
            for statement in policy["PolicyDocument"]["Statement"]:
                # All objects of our own bucket, and nothing else.
                asked = json.dumps([statement["Action"], statement["Resource"]]).replace("${StoreBucketMade.Arn}/*", "")
                if "*" in asked:
                    yield f"{name}: policy {policy['PolicyName']} has a wildcard"

    permissions = of_type("AWS::Lambda::Permission")
    if len(permissions) != 2:
        yield f"two permissions expected, for subscriptions and the schedule, found {len(permissions)}"
    for name, permission in permissions:
        # The ARN of our own rule holds the account.
        wanted = ["SourceArn"] if permission["Principal"] == "events.amazonaws.com" else ["SourceAccount", "SourceArn"]
        yield from (f"{name}: lacks {key}" for key in wanted if key not in permission)

    if not of_type("AWS::Lambda::EventInvokeConfig"):
        yield "failed invocations are lost: no EventInvokeConfig"

    grouped = [
        parameter
        for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
        for parameter in group["Parameters"]
    ]
    if grouped != list(template["Parameters"]):
        yield "the parameters are not those of the groups, in the same order"


def main(path):
    found = list(faults(expand(path)))
    for fault in found:
        print(f"{path}: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
