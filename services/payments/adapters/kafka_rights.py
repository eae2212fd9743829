"""Makes Kafka's access control lists and users what they should be. For Kafka's administrator."""

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    KafkaAdminClient,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from kafka.admin import ACLResourcePatternType as PatternType
from kafka.errors import NoError

from services.common.kafka_security import MECHANISM
from services.common.topic_rights import EVERY, MERCHANT, Right, Rights, every_right

_ANYWHERE: Final = "*"
_ITERATIONS: Final = 8192
_OPERATIONS: Final = {"read": ACLOperation.READ, "write": ACLOperation.WRITE, "describe": ACLOperation.DESCRIBE}
_RESOURCES: Final = {"topic": ResourceType.TOPIC, "group": ResourceType.GROUP}


class Changed(NamedTuple):
    """What was not as the table says."""

    given: int
    taken: int


class RefusedByBrokerError(Exception):
    """The broker did not do what the administrator asked for."""


def apply_rights(admin: KafkaAdminClient, users: Mapping[str, Rights], *, of_merchants: bool) -> Changed:
    """Give these users what is missing, and take what is too much; with `of_merchants` also from merchants who are not named.

    Users of others on the same Kafka stay as they are. First it gives, so nobody is without for a moment what he keeps. Who was
    refused (`refuse`) stays refused.
    """
    wanted = {_acl(user, right) for user, right in every_right(users)}
    found = {acl for acl in _find(admin, _filter(ACLPermissionType.ALLOW)) if _is_ours(acl, users, of_merchants=of_merchants)}
    _create(admin, wanted - found)
    _delete(admin, [_exactly(acl) for acl in found - wanted])
    return Changed(len(wanted - found), len(found - wanted))


def refuse(admin: KafkaAdminClient, user: str) -> None:
    """From now on a user may neither read nor write any topic, whatever the table says; a connection that stands, neither."""
    _create(admin, [_denied(user)])


def admit(admin: KafkaAdminClient, user: str) -> bool:
    """Take back a refusal; answers whether there was one."""
    found = _find(admin, _filter(ACLPermissionType.DENY, f"User:{user}"))
    _delete(admin, [_exactly(acl) for acl in found])
    return bool(found)


def set_passwords(admin: KafkaAdminClient, passwords: Mapping[str, str]) -> None:
    """Users that come with a password; one that is there gets the new one, and connections that stand stay."""
    users = [UserScramCredentialUpsertion(user, MECHANISM, password, _ITERATIONS) for user, password in passwords.items()]
    _check(admin.alter_user_scram_credentials(users))


def remove_password(admin: KafkaAdminClient, user: str) -> None:
    """The user cannot come any more. Raises RefusedByBrokerError when there is none."""
    _check(admin.alter_user_scram_credentials([UserScramCredentialDeletion(user, MECHANISM)]))


def _is_ours(acl: ACL, users: Mapping[str, Rights], *, of_merchants: bool) -> bool:
    user = acl.principal.removeprefix("User:")
    return user in users or (of_merchants and user.startswith(MERCHANT))


def _acl(user: str, right: Right) -> ACL:
    resource = ResourcePattern(_RESOURCES[right.resource], right.name)
    return ACL(f"User:{user}", _ANYWHERE, _OPERATIONS[right.operation], ACLPermissionType.ALLOW, resource)


def _denied(user: str) -> ACL:
    every_topic = ResourcePattern(ResourceType.TOPIC, EVERY)
    return ACL(f"User:{user}", _ANYWHERE, ACLOperation.ALL, ACLPermissionType.DENY, every_topic)


def _filter(permission: ACLPermissionType, principal: str | None = None) -> ACLFilter:
    anything = ResourcePatternFilter(ResourceType.ANY, None, PatternType.ANY)
    return ACLFilter(principal, None, ACLOperation.ANY, permission, anything)


def _exactly(acl: ACL) -> ACLFilter:
    resource = acl.resource_pattern
    pattern = ResourcePatternFilter(resource.resource_type, resource.resource_name, resource.pattern_type)
    return ACLFilter(acl.principal, acl.host, acl.operation, acl.permission_type, pattern)


def _find(admin: KafkaAdminClient, wanted: ACLFilter) -> set[ACL]:
    found, error = admin.describe_acls(wanted)
    if error is not NoError:
        raise error
    return set(found)


def _create(admin: KafkaAdminClient, acls: Iterable[ACL]) -> None:
    if (given := list(acls)) and (failed := admin.create_acls(given)["failed"]):
        raise RefusedByBrokerError(str(failed[0]))


def _delete(admin: KafkaAdminClient, filters: list[ACLFilter]) -> None:
    for _, _, error in admin.delete_acls(filters) if filters else ():
        if error is not NoError:
            raise error


def _check(answers: Mapping[str, str | None]) -> None:
    for user, wrong in answers.items():
        if wrong is not None:
            raise RefusedByBrokerError(f"{user}: {wrong}")
