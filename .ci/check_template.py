"""Expands template.yaml as CloudFormation will, and checks what the function may do and who may invoke it.

Run by .ci/run with the Python that has aws-sam-translator. Exits 1 and names every fault.
"""

import json
import re
import sys

from cfnlint.decode import cfn_yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

REGION = "us-east-1"

WILDCARDS = [
    "${StoreBucketMade.Arn}/*",
    "${Place}/*",
    ":aps:*:${AWS::AccountId}:workspace/${Workspace}",
    ', "*"]}}]',  # no workspace or collection is named by the address
    ":es:*:${AWS::AccountId}:domain/*",
    ":aoss:*:${AWS::AccountId}:collection/${Collection}",
]

ACCOUNT = "123456789012"

PSEUDO = {"AWS::AccountId": ACCOUNT, "AWS::Partition": "aws", "AWS::Region": REGION, "AWS::StackName": "logferry"}

S3_OBJECTS = "s3:PutObject s3:GetObject s3:DeleteObject"

SQS_SOURCE = "sqs:ReceiveMessage sqs:DeleteMessage sqs:GetQueueAttributes"

SOURCE = f"arn:aws:sqs:us-east-1:{ACCOUNT}:events"

QUEUE = f"https://sqs.us-east-1.amazonaws.com/{ACCOUNT}/kept"

# Hosts of queues, and the region that the function signs for.
QUEUES = [
    ("sqs.eu-west-1.amazonaws.com", "eu-west-1"),
    ("sqs.eu-west-1.amazonaws.com:443", "eu-west-1"),
    ("sqs.eu-west-1.api.aws", "eu-west-1"),
    ("sqs.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ("sqs-fips.us-east-1.amazonaws.com", REGION),
    ("us-east-1.queue.amazonaws.com", REGION),
    ("queue.amazonaws.com", REGION),
    ("vpce-1.sqs.us-east-1.vpce.amazonaws.com", REGION),
    ("sqs", REGION),
]

SECRET = f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:logferry-AbCdEf"

PARAMETER = f"arn:aws:ssm:eu-west-1:{ACCOUNT}:parameter/logferry/datadog"

# Hosts and paths of one workspace.
WORKSPACES = [
    "aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
    "aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1",
    "aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1/",
    "aps-workspaces.us-east-1.amazonaws.com/workspaces/ws-1?a=b",
    "aps-workspaces-fips.us-east-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
    "aps-workspaces.us-east-1.api.aws/workspaces/ws-1/api/v1/remote_write",
    "aps-workspaces-fips.us-east-1.api.aws/workspaces/ws-1",
    "vpce-0abc-xyz.aps-workspaces.us-east-1.vpce.amazonaws.com/workspaces/ws-1/api/v1/remote_write",
    "vpce-0abc-xyz.aps-workspaces-fips.us-east-1.vpce.amazonaws.com/workspaces/ws-1",
]

DOMAIN = "https://search-shop-x.us-east-1.es.amazonaws.com"

# What stands behind the id in the hosts of collections.
COLLECTIONS = [
    "us-east-1.aoss.amazonaws.com",
    "us-east-1.aoss.amazonaws.com:443",
    "us-east-1.aoss-fips.amazonaws.com",
    "cn-north-1.aoss.amazonaws.com.cn",
    "aoss.us-east-1.on.aws",
    "aoss-fips.us-east-1.on.aws/",
]

VPC = {"SubnetIds": "subnet-0a,subnet-0b", "SecurityGroupIds": "sg-0c"}

VPC_CONFIG = {"SubnetIds": ["subnet-0a", "subnet-0b"], "SecurityGroupIds": ["sg-0c"]}

VPC_POLICY = "arn:aws:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole"

POLICIES = [f"arn:aws:iam::{ACCOUNT}:policy/one", f"arn:aws:iam::{ACCOUNT}:policy/other"]

# Whether what is stored is sent again on a schedule: a queue does so by itself.
REDRIVES = [
    ({}, True),
    ({"MakeStore": "false"}, False),
    ({"Store": "s3://mine/here"}, True),
    ({"Store": QUEUE}, False),
    ({"Store": "/mnt/kept"}, True),
    ({"RedriveSchedule": ""}, False),
]

# The managed policies that the role has, and where in a VPC the function is.
NETWORKS = [
    ({}, None, None),
    ({"ManagedPolicyArns": ",".join(POLICIES)}, POLICIES, None),
    (VPC, [VPC_POLICY], VPC_CONFIG),
    ({**VPC, "ManagedPolicyArns": POLICIES[0]}, [VPC_POLICY, POLICIES[0]], VPC_CONFIG),
    ({**VPC, "ManagedPolicyArns": ",".join(POLICIES)}, [VPC_POLICY, *POLICIES], VPC_CONFIG),
]

TOPIC = f"arn:aws:sns:us-east-1:{ACCOUNT}:awake"

WITH_TOPIC = {"AlarmTopicArn": TOPIC}

# Metrics, and what they are measured at.
ERRORS = "AWS/Lambda Errors FunctionName=Function"

THROTTLES = "AWS/Lambda Throttles FunctionName=Function"

DROPPED = "logferry dropped function_name=Function"

DAMAGED = "logferry damaged function_name=Function"

STORED = "logferry stored function_name=Function"

LEFT = "logferry left function_name=Function"

SET_ASIDE = "logferry set_aside function_name=Function"

FAILED = "AWS/SQS ApproximateNumberOfMessagesVisible QueueName=FailedInvocations.QueueName"

GIVEN_UP = "AWS/SQS ApproximateNumberOfMessagesVisible QueueName=GivenUp.QueueName"

# What the alarms watch: of invocations that failed, those that nothing tries again.
ALARMS = [
    ({}, []),
    ({"RetryFailedInvocations": "true"}, []),
    (WITH_TOPIC, [ERRORS, THROTTLES, DROPPED, DAMAGED, STORED, LEFT, SET_ASIDE, FAILED]),
    ({**WITH_TOPIC, "RetryFailedInvocations": "true"}, [ERRORS, THROTTLES, DROPPED, DAMAGED, STORED, LEFT, SET_ASIDE, GIVEN_UP]),
    ({**WITH_TOPIC, "MakeStore": "false"}, [ERRORS, THROTTLES, DROPPED, DAMAGED, FAILED]),
    ({**WITH_TOPIC, "MakeStore": "false", "Store": QUEUE}, [ERRORS, THROTTLES, DROPPED, DAMAGED, STORED, LEFT, SET_ASIDE, FAILED]),
]

# What is said of parameters that don't fit together, beside a key of Datadog's that is missing.
REFUSALS = [
    ({}, []),
    (VPC, []),
    ({"SubnetIds": "subnet-0a"}, ["a function in the subnets of SubnetIds needs SecurityGroupIds"]),
    ({"SecurityGroupIds": "sg-0c"}, ["SecurityGroupIds are of no use without SubnetIds"]),
    (WITH_TOPIC, []),
    ({**WITH_TOPIC, "OwnMetrics": ""}, []),
    ({**WITH_TOPIC, "OwnMetrics": "True"}, ["OwnMetrics is none of true, false and nothing"]),
    (
        {**WITH_TOPIC, "OwnMetrics": "false"},
        ["the alarms of AlarmTopicArn need OwnMetrics to be true, which some of them watch"],
    ),
    ({"OwnMetrics": "no"}, ["OwnMetrics is none of true, false and nothing"]),
    *(({"RemoteWriteSign": sign}, []) for sign in ["auto", "true", "false", ""]),
    ({"RemoteWriteSign": "TRUE"}, ["RemoteWriteSign is none of auto, true, false and nothing"]),
    ({"RemoteWriteSign": "1"}, ["RemoteWriteSign is none of auto, true, false and nothing"]),
    *(({"ElasticsearchSigning": sign}, []) for sign in ["auto", "es", "aoss", "none", ""]),
    ({"ElasticsearchSigning": "ES"}, ["ElasticsearchSigning is none of auto, es, aoss, none and nothing"]),
    ({"Store": QUEUE, "StoreBucket": "s3://large"}, []),
    ({"StoreBucket": "s3://large"}, ["StoreBucket is for what a queue cannot take: Store has to name one"]),
    ({"DdApiKey": ""}, ["the backend datadog needs DdApiKey or DdApiKeySecretArn"]),
]

# What a role may do with these parameters, beside what it may with none.
GRANTS = [
    (
        {"Store": "s3://mine/here"},
        [f"{S3_OBJECTS} arn:aws:s3:::mine/here/*", "s3:ListBucket arn:aws:s3:::mine"],
    ),
    ({"Store": "s3://mine"}, [f"{S3_OBJECTS} arn:aws:s3:::mine/*", "s3:ListBucket arn:aws:s3:::mine"]),
    *(
        ({"Store": f"https://{host}/{ACCOUNT}/kept"}, [f"sqs:SendMessage arn:aws:sqs:{region}:{ACCOUNT}:kept"])
        for host, region in QUEUES
    ),
    ({"Store": f"{QUEUE}.fifo"}, [f"sqs:SendMessage arn:aws:sqs:us-east-1:{ACCOUNT}:kept.fifo"]),
    (
        {"Store": QUEUE, "StoreBucket": "s3://mine/large"},
        [
            f"sqs:SendMessage arn:aws:sqs:us-east-1:{ACCOUNT}:kept",
            f"{S3_OBJECTS} arn:aws:s3:::mine/large/*",
            "s3:ListBucket arn:aws:s3:::mine",
        ],
    ),
    (
        {"Store": "s3://mine/here", "StoreBucket": "s3://other"},
        [f"{S3_OBJECTS} arn:aws:s3:::mine/here/*", "s3:ListBucket arn:aws:s3:::mine"],
    ),
    ({"Store": "/mnt/kept"}, []),
    ({"Store": "/mnt/kept", "StoreBucket": "s3://other"}, []),
    ({"QueueArn": SOURCE}, [f"{SQS_SOURCE} {SOURCE}"]),
    ({"RetryFailedInvocations": "true"}, [f"{SQS_SOURCE} FailedInvocations.Arn"]),
    (VPC, []),
    (WITH_TOPIC, []),
    ({"DdApiKeySecretArn": SECRET}, [f"secretsmanager:GetSecretValue {SECRET}"]),
    ({"DdApiKeySecretArn": f"{SECRET}:field::"}, [f"secretsmanager:GetSecretValue {SECRET}"]),
    ({"DdApiKeySecretArn": PARAMETER}, [f"ssm:GetParameter {PARAMETER}"]),
    *(
        ({"PrometheusRemoteWriteUrl": f"https://{workspace}"}, [f"aps:RemoteWrite arn:aws:aps:*:{ACCOUNT}:workspace/ws-1"])
        for workspace in WORKSPACES
    ),
    ({"PrometheusRemoteWriteUrl": f"https://{WORKSPACES[0]}", "RemoteWriteSign": "false"}, []),
    (
        {"PrometheusRemoteWriteUrl": f"https://{WORKSPACES[0]}", "RemoteWriteSign": ""},
        [f"aps:RemoteWrite arn:aws:aps:*:{ACCOUNT}:workspace/ws-1"],
    ),
    ({"PrometheusRemoteWriteUrl": "https://mimir/api/v1/push"}, []),
    ({"PrometheusRemoteWriteUrl": "https://mimir/api/v1/push", "RemoteWriteSign": ""}, []),
    (
        {"PrometheusRemoteWriteUrl": "https://proxy", "RemoteWriteSign": "true"},
        [f"aps:RemoteWrite arn:aws:aps:*:{ACCOUNT}:workspace/*"],
    ),
    ({"ElasticsearchUrl": DOMAIN}, [f"es:ESHttpPost arn:aws:es:*:{ACCOUNT}:domain/*"]),
    (
        {"ElasticsearchUrl": "https://shop.aos.us-east-1.on.aws"},
        [f"es:ESHttpPost arn:aws:es:*:{ACCOUNT}:domain/*"],
    ),
    ({"ElasticsearchUrl": DOMAIN, "ElasticsearchSigning": ""}, [f"es:ESHttpPost arn:aws:es:*:{ACCOUNT}:domain/*"]),
    ({"ElasticsearchUrl": DOMAIN, "ElasticsearchSigning": "none"}, []),
    ({"ElasticsearchUrl": "https://elastic:9200"}, []),
    ({"ElasticsearchUrl": "https://elastic:9200", "ElasticsearchSigning": ""}, []),
    (
        {"ElasticsearchUrl": "https://logs.shop.example", "ElasticsearchSigning": "es"},
        [f"es:ESHttpPost arn:aws:es:*:{ACCOUNT}:domain/*"],
    ),
    *(
        ({"ElasticsearchUrl": f"https://abc.{host}"}, [f"aoss:APIAccessAll arn:aws:aoss:*:{ACCOUNT}:collection/abc"])
        for host in COLLECTIONS
    ),
    (
        {"ElasticsearchUrl": f"https://abc.{COLLECTIONS[0]}", "ElasticsearchSigning": ""},
        [f"aoss:APIAccessAll arn:aws:aoss:*:{ACCOUNT}:collection/abc"],
    ),
    ({"ElasticsearchUrl": f"https://abc.{COLLECTIONS[0]}", "ElasticsearchSigning": "none"}, []),
    (
        {"ElasticsearchUrl": "https://logs.shop.example", "ElasticsearchSigning": "aoss"},
        [f"aoss:APIAccessAll arn:aws:aoss:*:{ACCOUNT}:collection/*"],
    ),
]


# Where the function is told that a secret is.
PLACES = [
    ({}, {}),
    ({"DdApiKeySecretArn": SECRET}, {"DD_API_KEY_SECRET_ARN": SECRET}),
    ({"DdApiKeySecretArn": f"{SECRET}:field::"}, {"DD_API_KEY_SECRET_ARN": f"{SECRET}:field::"}),
    ({"DdApiKeySecretArn": PARAMETER}, {"DD_API_KEY_SSM_NAME": PARAMETER}),
]


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
        for policy in role["Policies"]:
            # A policy that depends on a condition: the one that holds when it does.
            policy = policy["Fn::If"][1] if "Fn::If" in policy else policy
            for statement in policy["PolicyDocument"]["Statement"]:
                # All objects of a place, what signatures are for in any region, and nothing else.
                asked = json.dumps([statement["Action"], statement["Resource"]])
                for known in WILDCARDS:
                    asked = asked.replace(known, "")
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


class Stack:
    """A template with parameters put in: what CloudFormation's functions come to."""

    def __init__(self, template, given):
        self.template = template
        self.given = given

    def grants(self):
        """What the role may do: actions and the resource, of each statement."""
        role = self.properties("Role")
        statements = [one for policy in role["Policies"] for one in policy["PolicyDocument"]["Statement"]]
        actions = [one["Action"] if isinstance(one["Action"], list) else [one["Action"]] for one in statements]
        return [" ".join([*asked, one["Resource"]]) for asked, one in zip(actions, statements)]

    def properties(self, name):
        return self.value(self.template["Resources"][name]["Properties"])

    def made(self, kind):
        """The properties of each resource of a type that is made."""
        for name, resource in self.template["Resources"].items():
            if resource["Type"] == kind and ("Condition" not in resource or self.condition_(resource["Condition"])):
                yield self.properties(name)

    def refusals(self):
        """What is said against the parameters: each by itself, and those that don't fit together."""
        for name, value in self.given.items():
            allowed = self.template["Parameters"][name].get("AllowedValues", [value])
            if value not in allowed:
                yield f"{name} is none of {', '.join(filter(None, allowed))}{'' if all(allowed) else ' and nothing'}"
        for rule in self.template["Rules"].values():
            if self.value(rule.get("RuleCondition", True)):
                yield from (one["AssertDescription"] for one in rule["Assertions"] if not self.value(one["Assert"]))

    def value(self, of):
        """What stands for a value; None for AWS::NoValue."""
        if isinstance(of, list):
            return [value for value in map(self.value, of) if value is not None]
        if not isinstance(of, dict):
            return of
        if len(of) == 1:
            (name, argument), = of.items()
            function = getattr(self, name.removeprefix("Fn::").lower() + "_", None)
            if function and (name.startswith("Fn::") or name in ("Ref", "Condition")):
                return function(argument)
        values = {key: self.value(value) for key, value in of.items()}
        return {key: value for key, value in values.items() if value is not None}

    def ref_(self, name):
        if name == "AWS::NoValue":
            return None
        if name in PSEUDO:
            return PSEUDO[name]
        if name in self.template["Parameters"]:
            parameter = self.template["Parameters"][name]
            value = str(self.given.get(name, parameter.get("Default", "")))
            return value.split(",") if parameter["Type"] == "CommaDelimitedList" else value
        return name

    def condition_(self, name):
        return self.value(self.template["Conditions"][name])

    def getatt_(self, path):
        return ".".join(path)

    def if_(self, argument):
        condition, then, otherwise = argument
        return self.value(then if self.condition_(condition) else otherwise)

    def equals_(self, argument):
        one, other = self.value(argument)
        return one == other

    def and_(self, argument):
        return all(self.value(argument))

    def or_(self, argument):
        return any(self.value(argument))

    def not_(self, argument):
        return not self.value(argument)[0]

    def join_(self, argument):
        between, parts = self.value(argument)
        return between.join(parts)

    def split_(self, argument):
        at, text = self.value(argument)
        return text.split(at)

    def select_(self, argument):
        place, parts = self.value(argument)
        return parts[int(place)]

    def sub_(self, argument):
        text, names = (argument, {}) if isinstance(argument, str) else argument
        names = self.value(names)
        return re.sub(r"\$\{([^}]+)\}", lambda name: names.get(name[1]) or self.ref_(name[1]), text)


def wrong_grants(template):
    """Each set of parameters with which the role may do something else than what they ask for."""
    own = Stack(template, {"MakeStore": "false"}).grants()
    for given, expected in GRANTS:
        granted = [one for one in Stack(template, {"MakeStore": "false", **given}).grants() if one not in own]
        if granted != expected:
            yield f"with {given} the role may {granted}, expected {expected}"


def wrong_schedules(template):
    """Each set of parameters with which there is a schedule in vain, or none."""
    for given, expected in REDRIVES:
        if Stack(template, given).condition_("Redrives") != expected:
            yield f"with {given} the schedule is {'missing' if expected else 'in vain'}"


def wrong_networks(template):
    """Each set of parameters with which the function is elsewhere, or its role has other managed policies."""
    for given, policies, network in NETWORKS:
        stack = Stack(template, given)
        found = stack.properties("Role").get("ManagedPolicyArns"), stack.properties("Function").get("VpcConfig")
        if found != (policies, network):
            yield f"with {given} policies and network are {found}, expected {(policies, network)}"


def wrong_refusals(template):
    """Each set of parameters that is refused without need, or taken."""
    for given, expected in REFUSALS:
        said = list(Stack(template, {"DdApiKey": "key", **given}).refusals())
        if said != expected:
            yield f"with {given} it is said {said}, expected {expected}"


def loose_words(template):
    """Each parameter that is compared with a word, and can be another that the function takes for the same."""
    ours = {name: of for name, of in template["Conditions"].items() if not name.startswith("Sets")}
    for one, other in compared([ours, template["Rules"]]):
        name = one.get("Ref") if isinstance(one, dict) else None
        # Where it isn't the plain list of one, it may have spaces, names or others beside it: the rule is for the default.
        if name in template["Parameters"] and name != "Backends" and other:
            if other not in template["Parameters"][name].get("AllowedValues", []):
                yield f"{name} is compared with {other}, which is none of its AllowedValues"


def compared(of):
    """What stands on either side of each Fn::Equals."""
    if isinstance(of, dict):
        yield from (value for name, value in of.items() if name == "Fn::Equals")
    for value in of.values() if isinstance(of, dict) else of if isinstance(of, list) else []:
        yield from compared(value)


def wrong_places(template):
    """Each set of parameters with which the function looks for a secret elsewhere."""
    for given, expected in PLACES:
        variables = Stack(template, given).properties("Function")["Environment"]["Variables"]
        found = {name: value for name, value in variables.items() if name.endswith(("_SECRET_ARN", "_SSM_NAME"))}
        if found != expected:
            yield f"with {given} secrets are at {found}, expected {expected}"


def wrong_alarms(template):
    """Each set of parameters with which something else is watched, and each alarm that doesn't help who is woken."""
    for given, expected in ALARMS:
        alarms = list(Stack(template, given).made("AWS::CloudWatch::Alarm"))
        if (watched := list(map(watches, alarms))) != expected:
            yield f"with {given} alarms watch {watched}, expected {expected}"
        for alarm in alarms:
            told = [alarm["AlarmActions"], alarm["OKActions"], alarm["TreatMissingData"]]
            if told != [[TOPIC], [TOPIC], "notBreaching"]:
                yield f"with {given} the alarm of {watches(alarm)} tells {told}"
            # What happened, and behind a colon what to do. CloudWatch takes 1,024 characters.
            if not re.fullmatch(r"[^:]+: .{,900}\.", alarm["AlarmDescription"]):
                yield f"with {given} the alarm of {watches(alarm)} says {alarm['AlarmDescription']}"


def watches(alarm):
    (dimension,) = alarm["Dimensions"]
    return f"{alarm['Namespace']} {alarm['MetricName']} {dimension['Name']}={dimension['Value']}"


CHECKS = [
    faults,
    loose_words,
    wrong_grants,
    wrong_places,
    wrong_schedules,
    wrong_networks,
    wrong_refusals,
    wrong_alarms,
]


def main(path):
    template = expand(path)
    found = [fault for check in CHECKS for fault in check(template)]
    for fault in found:
        print(f"{path}: {fault}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
