"""The prerequisites of a deployment: a network, the database's secret and the parameter with its address."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from scripts.local_stack.database import DatabaseAccess
from scripts.local_stack.emulator import client
from scripts.local_stack.settings import REGION

NETWORK = "10.42.0.0/16"
SUBNETS = ("10.42.1.0/24", "10.42.2.0/24")


@dataclass(frozen=True)
class Prerequisites:
    vpc_id: str
    security_group_id: str
    secret_arn: str
    parameter_name: str


def ensure_prerequisites(endpoint: str, env: str, access: DatabaseAccess) -> Prerequisites:
    """Idempotent: what exists is reused, and the database's address and password are written again."""
    name = f"backstream-{env}-legacy"
    vpc_id = _vpc(endpoint, name)
    _private_subnets(endpoint, vpc_id)
    return Prerequisites(
        vpc_id=vpc_id,
        security_group_id=_security_group(endpoint, vpc_id, name),
        secret_arn=_secret(endpoint, name, access),
        parameter_name=_parameter(endpoint, f"/{name}/rds", access),
    )


def remove_prerequisites(endpoint: str, env: str) -> None:
    """Idempotent. The network goes last: EC2 deletes only an empty one."""
    name = f"backstream-{env}-legacy"
    manager, ssm = client("secretsmanager", endpoint), client("ssm", endpoint)
    arn = _existing_secret(manager, name)
    if arn is not None:
        manager.delete_secret(SecretId=arn, ForceDeleteWithoutRecovery=True)
    ssm.delete_parameters(Names=[f"/{name}/rds"])
    _remove_network(endpoint, name)


def _remove_network(endpoint: str, name: str) -> None:
    ec2 = client("ec2", endpoint)
    for vpc in ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [name]}])["Vpcs"]:
        inside = [{"Name": "vpc-id", "Values": [vpc["VpcId"]]}]
        for subnet in ec2.describe_subnets(Filters=inside)["Subnets"]:
            ec2.delete_subnet(SubnetId=subnet["SubnetId"])
        for group in ec2.describe_security_groups(Filters=inside)["SecurityGroups"]:
            if group["GroupName"] == name:
                ec2.delete_security_group(GroupId=group["GroupId"])
        ec2.delete_vpc(VpcId=vpc["VpcId"])


def _vpc(endpoint: str, name: str) -> str:
    ec2 = client("ec2", endpoint)
    found = ec2.describe_vpcs(Filters=[{"Name": "tag:Name", "Values": [name]}])["Vpcs"]
    if found:
        return str(found[0]["VpcId"])
    tags = [{"ResourceType": "vpc", "Tags": [{"Key": "Name", "Value": name}]}]
    return str(ec2.create_vpc(CidrBlock=NETWORK, TagSpecifications=tags)["Vpc"]["VpcId"])


def _private_subnets(endpoint: str, vpc_id: str) -> None:
    ec2 = client("ec2", endpoint)
    found = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc_id]}])["Subnets"]
    present = {subnet["CidrBlock"] for subnet in found}
    tags = [{"ResourceType": "subnet", "Tags": [{"Key": "Tier", "Value": "Private"}]}]
    for zone, block in zip("ab", SUBNETS, strict=True):
        if block not in present:
            ec2.create_subnet(VpcId=vpc_id, CidrBlock=block, AvailabilityZone=f"{REGION}{zone}", TagSpecifications=tags)


def _security_group(endpoint: str, vpc_id: str, name: str) -> str:
    ec2 = client("ec2", endpoint)
    wanted = [{"Name": "vpc-id", "Values": [vpc_id]}, {"Name": "group-name", "Values": [name]}]
    found = ec2.describe_security_groups(Filters=wanted)["SecurityGroups"]
    if found:
        return str(found[0]["GroupId"])
    made = ec2.create_security_group(GroupName=name, Description="The legacy MySQL", VpcId=vpc_id)
    return str(made["GroupId"])


def _secret(endpoint: str, name: str, access: DatabaseAccess) -> str:
    manager = client("secretsmanager", endpoint)
    login = json.dumps({"username": access.app.user, "password": access.app.password})
    arn = _existing_secret(manager, name)
    if arn is None:
        return str(manager.create_secret(Name=name, SecretString=login)["ARN"])
    manager.put_secret_value(SecretId=arn, SecretString=login)
    return arn


def _existing_secret(manager: Any, name: str) -> str | None:
    try:
        return str(manager.describe_secret(SecretId=name)["ARN"])
    except manager.exceptions.ResourceNotFoundException:
        return None


def _parameter(endpoint: str, name: str, access: DatabaseAccess) -> str:
    address = {
        "hostname": access.host_for_lambda,
        "port": access.port,
        "db": access.database,
        "driver": "mysql",
    }
    client("ssm", endpoint).put_parameter(Name=name, Value=json.dumps(address), Type="String", Overwrite=True)
    return name
