"""Functions run as on Lambda: their artifact alone, their own role, an end to every call."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

import psutil
import pytest
import requests
from botocore.exceptions import ClientError

from emulator.endpoint.credentials import AccessKey
from emulator.lambda_.service import Functions, UnknownFunction, code_sha256
from tests.emulator.lambda_.conftest import ACCOUNT, Lambda

ECHO = "def handle(event, context):\n    return {'event': event, 'name': context.function_name}\n"


def allow(action: str | list[str], resource: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource}


def test_a_function_answers(aws_lambda: Lambda) -> None:
    aws_lambda.put(ECHO)
    assert aws_lambda.invoke({"a": [1, None, "ü"]}) == (
        {"event": {"a": [1, None, "ü"]}, "name": "task"},
        False,
    )


def test_a_function_that_nobody_called_for_14_days_has_to_wake(aws_lambda: Lambda) -> None:
    aws_lambda.put(ECHO)
    client = aws_lambda.endpoint.client("lambda")
    file = aws_lambda.folder / "functions/task/function.json"
    asleep = time.time() - 14 * 86400 - 1
    os.utime(file, (asleep, asleep))
    assert client.get_function_configuration(FunctionName="task")["State"] == "Inactive"
    with pytest.raises(ClientError, match=r"CodeArtifactUserPendingException.*ready to invoke shortly"):
        aws_lambda.invoke()
    states = [client.get_function_configuration(FunctionName="task")["State"] for _ in range(2)]
    assert states == ["Pending", "Active"]
    assert aws_lambda.invoke(1)[0]["event"] == 1


def test_a_large_answer_arrives_whole(aws_lambda: Lambda) -> None:
    aws_lambda.put("def handle(event, context):\n    return 'x' * event\n")
    assert aws_lambda.invoke(3_000_000) == ("x" * 3_000_000, False)


def test_what_a_handler_raises_is_its_answer_in_lambdas_words(aws_lambda: Lambda) -> None:
    aws_lambda.put("def handle(event, context):\n    raise KeyError('lost')\n")
    answer, failed = aws_lambda.invoke()
    assert failed
    assert (answer["errorMessage"], answer["errorType"]) == ("'lost'", "KeyError")


def test_a_call_that_takes_too_long_is_ended_with_everything_it_started(aws_lambda: Lambda) -> None:
    aws_lambda.put(
        "import subprocess\ndef handle(event, context):\n    subprocess.run(['sleep', '3600.25'])\n",
        timeout=1,
    )
    answer, failed = aws_lambda.invoke()
    assert failed
    assert answer["errorMessage"].endswith("Task timed out after 1.00 seconds")
    assert not [
        each for each in psutil.process_iter(["cmdline"]) if "3600.25" in (each.info["cmdline"] or [])
    ]


@pytest.mark.parametrize("detached", [False, True])
def test_what_a_handler_leaves_running_holds_up_no_answer(aws_lambda: Lambda, *, detached: bool) -> None:
    """It still has the output that it inherited; were that waited for, the call would take its time."""
    child = f"subprocess.Popen(['sleep', '3600.75'], start_new_session={detached}).pid"
    aws_lambda.put(f"import subprocess\ndef handle(event, context):\n    return {child}\n", timeout=20)
    try:
        process, failed = aws_lambda.invoke()
        assert not failed
        running = psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE
        assert running == detached, "Lambda ends what belongs to the call"
    finally:
        for each in psutil.process_iter(["cmdline"]):
            if each.info["cmdline"] == ["sleep", "3600.75"]:
                each.kill()


def test_an_answer_that_lambda_would_not_carry_is_refused(aws_lambda: Lambda) -> None:
    aws_lambda.put("def handle(event, context):\n    return 'x' * event\n")
    assert aws_lambda.invoke(6_000_000) == ("x" * 6_000_000, False)
    answer, failed = aws_lambda.invoke(7_000_000)
    assert failed
    assert answer["errorType"] == "Function.ResponseSizeTooLarge"


@pytest.mark.parametrize(
    ("source", "kind", "words"),
    [
        ("raise ValueError('at once')\n", "ValueError", "at once"),
        ("def (\n", "Runtime.UserCodeSyntaxError", "Syntax error in module 'handler'"),
        ("def handle(event, context):\n    return {1}\n", "Runtime.MarshalError", "Unable to marshal"),
        ("x = 1\n", "Runtime.HandlerNotFound", "Handler 'handle' missing on module 'handler'"),
    ],
)
def test_code_that_cannot_answer_is_told_in_lambdas_words(
    aws_lambda: Lambda, source: str, kind: str, words: str
) -> None:
    aws_lambda.put(source)
    answer, failed = aws_lambda.invoke()
    assert failed
    assert answer["errorType"] == kind
    assert words in answer["errorMessage"]
    assert words in (aws_lambda.folder / "functions/task/function.log").read_text()


def test_a_process_that_ends_by_itself_is_an_error(aws_lambda: Lambda) -> None:
    aws_lambda.put("import os\ndef handle(event, context):\n    os._exit(3)\n")
    answer, failed = aws_lambda.invoke()
    assert failed
    assert answer["errorType"] == "Runtime.ExitError"
    assert "exit status 3" in answer["errorMessage"]


def test_only_the_artifact_and_lambdas_own_runtime_can_be_imported(aws_lambda: Lambda) -> None:
    """psycopg is installed beside the sandbox and is not in the artifact; boto3 comes with the runtime."""
    aws_lambda.put("import boto3\ndef handle(event, context):\n    return boto3.__name__\n")
    assert aws_lambda.invoke() == ("boto3", False)
    aws_lambda.put("import psycopg\ndef handle(event, context):\n    return 1\n", name="other")
    answer, failed = aws_lambda.invoke(name="other")
    assert failed
    assert answer["errorType"] == "Runtime.ImportModuleError"
    assert "No module named 'psycopg'" in answer["errorMessage"]


def test_a_function_has_its_roles_credentials_and_nobody_elses(
    aws_lambda: Lambda, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAFOREIGN")
    secrets = aws_lambda.endpoint.client("secretsmanager")
    own = secrets.create_secret(Name="own", SecretString="mine")["ARN"]
    other = secrets.create_secret(Name="other", SecretString="theirs")["ARN"]
    source = (
        "import boto3\n"
        "from botocore.exceptions import ClientError\n"
        "def handle(event, context):\n"
        "    who = boto3.client('sts').get_caller_identity()['Arn']\n"
        "    found = []\n"
        "    for arn in event:\n"
        "        try:\n"
        "            answer = boto3.client('secretsmanager').get_secret_value(SecretId=arn)\n"
        "            found.append(answer['SecretString'])\n"
        "        except ClientError as error:\n"
        "            found.append(error.response['Error']['Code'])\n"
        "    return [who, *found]\n"
    )
    aws_lambda.put(source, allow("secretsmanager:GetSecretValue", own))
    answer, failed = aws_lambda.invoke([own, other])
    assert not failed
    assert answer == [f"arn:aws:sts::{ACCOUNT}:assumed-role/task-role/task", "mine", "AccessDeniedException"]


def test_the_functions_own_calls_carry_its_arn(aws_lambda: Lambda) -> None:
    """By which a policy tells its code from Lambda itself."""
    source = (
        "import boto3\n"
        "def handle(event, context):\n"
        "    return boto3.client('ssm').get_parameter(Name='/p')['Parameter']['Value']\n"
    )
    aws_lambda.endpoint.client("ssm").put_parameter(Name="/p", Value="v", Type="String")
    parameter = f"arn:aws:ssm:eu-central-1:{ACCOUNT}:parameter/p"
    good = {
        **allow("ssm:GetParameter", parameter),
        "Condition": {"Null": {"lambda:SourceFunctionArn": "false"}},
    }
    aws_lambda.put(source, good)
    assert aws_lambda.invoke() == ("v", False)
    bad = {
        **allow("ssm:GetParameter", parameter),
        "Condition": {"Null": {"lambda:SourceFunctionArn": "true"}},
    }
    aws_lambda.put(source, bad, name="other")
    answer, failed = aws_lambda.invoke(name="other")
    assert failed
    assert "AccessDenied" in answer["errorMessage"]


def test_nobody_calls_a_function_without_permission(aws_lambda: Lambda) -> None:
    aws_lambda.put(ECHO)
    trust = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
        "Action": "sts:AssumeRole",
    }
    iam = aws_lambda.endpoint.client("iam")
    arn = iam.create_role(
        RoleName="caller",
        AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}),
    )["Role"]["Arn"]
    found = aws_lambda.endpoint.client("sts").assume_role(RoleArn=arn, RoleSessionName="caller")[
        "Credentials"
    ]
    key = AccessKey(
        access_key_id=found["AccessKeyId"],
        secret_access_key=found["SecretAccessKey"],
        session_token=found["SessionToken"],
    )
    with pytest.raises(
        ClientError, match=r"AccessDenied.*lambda:InvokeFunction on resource: .*:function:task"
    ):
        aws_lambda.invoke(key=key)
    statement = allow("lambda:InvokeFunction", f"arn:aws:lambda:eu-central-1:{ACCOUNT}:function:task")
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName="caller", PolicyName="own", PolicyDocument=document)
    assert aws_lambda.invoke(1, key=key)[0]["event"] == 1


def test_a_role_that_does_not_trust_lambda_is_refused(aws_lambda: Lambda) -> None:
    aws_lambda.put(ECHO, role=aws_lambda.role("machines", service="ec2.amazonaws.com"))
    with pytest.raises(ClientError, match="cannot be assumed by Lambda"):
        aws_lambda.invoke()


@pytest.mark.parametrize("name", ["absent", "../task"])
def test_a_function_that_is_not_there(aws_lambda: Lambda, name: str) -> None:
    with pytest.raises(UnknownFunction):
        aws_lambda.functions.named(name)


@pytest.mark.parametrize("name", ["absent", "task:blue"])
def test_the_endpoint_says_that_a_function_or_a_version_is_not_there(aws_lambda: Lambda, name: str) -> None:
    aws_lambda.put(ECHO)
    assert aws_lambda.invoke(1, name="task:$LATEST")[0]["event"] == 1
    with pytest.raises(ClientError, match=rf"ResourceNotFoundException.*Function not found: .*:{name}"):
        aws_lambda.invoke(name=name)


def test_an_unsigned_call_is_refused_in_lambdas_form(aws_lambda: Lambda) -> None:
    aws_lambda.put(ECHO)
    answer = requests.post(
        f"{aws_lambda.endpoint.url}/2015-03-31/functions/task/invocations", data=b"1", timeout=10
    )
    assert answer.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    assert answer.json()["message"] == "Missing Authentication Token"


def test_output_goes_to_the_log_group_when_the_role_may_write_it(aws_lambda: Lambda) -> None:
    logs = aws_lambda.endpoint.client("logs")
    logs.create_log_group(logGroupName="/aws/lambda/task")
    group = f"arn:aws:logs:eu-central-1:{ACCOUNT}:log-group:/aws/lambda/task:*"
    source = "def handle(event, context):\n    print('seen', event)\n"
    aws_lambda.put(source, allow(["logs:CreateLogStream", "logs:PutLogEvents"], group))
    aws_lambda.invoke("this")
    messages = [
        event["message"] for event in logs.filter_log_events(logGroupName="/aws/lambda/task")["events"]
    ]
    assert "seen this" in messages
    assert "seen this" in (aws_lambda.folder / "functions/task/function.log").read_text()
    logs.create_log_group(logGroupName="/aws/lambda/mute")
    aws_lambda.put(source, name="mute", log_group="/aws/lambda/mute")
    aws_lambda.invoke("that", name="mute")
    assert not logs.filter_log_events(logGroupName="/aws/lambda/mute")["events"]


def test_calls_run_side_by_side(aws_lambda: Lambda) -> None:
    """Each waits for a file that the other one makes."""
    source = (
        "import os, time\n"
        "def handle(event, context):\n"
        "    open(event['mine'], 'w').close()\n"
        "    while not os.path.exists(event['other']):\n"
        "        time.sleep(0.01)\n"
        "    return 'met'\n"
    )
    aws_lambda.put(source)
    one, two = str(aws_lambda.folder / "one"), str(aws_lambda.folder / "two")
    answers: list[Any] = []
    threads = [
        threading.Thread(target=lambda event=event: answers.append(aws_lambda.invoke(event)))
        for event in ({"mine": one, "other": two}, {"mine": two, "other": one})
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [("met", False)] * 2


def test_a_call_ends_with_the_code_that_it_began_with(aws_lambda: Lambda) -> None:
    """It imports a module of its own only after newer code has been put."""
    files = {name: aws_lambda.folder / name for name in ("begun", "go")}
    source = (
        "import os, time\n"
        "def handle(event, context):\n"
        "    open(event['begun'], 'w').close()\n"
        "    while not os.path.exists(event['go']):\n"
        "        time.sleep(0.01)\n"
        "    import late\n"
        "    return late.VALUE\n"
    )
    aws_lambda.put(source, more={"late": "VALUE = 'old'\n"})
    answers: list[Any] = []
    event = {name: str(file) for name, file in files.items()}
    call = threading.Thread(target=lambda: answers.append(aws_lambda.invoke(event)))
    call.start()
    while not files["begun"].exists():
        call.join(0.01)
        assert call.is_alive()
    aws_lambda.put("def handle(event, context):\n    return 'new'\n", role=aws_lambda.arn("task-role"))
    assert aws_lambda.invoke() == ("new", False)
    files["go"].touch()
    call.join()
    assert answers == [("old", False)]
    aws_lambda.put(ECHO, role=aws_lambda.arn("task-role"))
    assert len(list((aws_lambda.folder / "functions/task/code").iterdir())) == 1, "nothing old is kept"


def test_a_function_may_have_any_name_that_lambda_takes(aws_lambda: Lambda) -> None:
    for name in ("runtime", "code", "task"):
        aws_lambda.put(ECHO, name=name)
        assert aws_lambda.invoke(name=name)[0]["name"] == name
    aws_lambda.functions.delete("runtime")
    assert aws_lambda.invoke(name="code")[0]["name"] == "code"


def test_functions_outlive_the_process_that_keeps_them(aws_lambda: Lambda) -> None:
    aws_lambda.put(ECHO)
    again = Functions(aws_lambda.folder, aws_lambda.endpoint)
    assert again.invoke("task", b'"x"').payload == {"event": "x", "name": "task"}
    again.delete("task")
    again.delete("task")
    with pytest.raises(UnknownFunction):
        again.named("task")


def test_an_artifact_that_is_no_zip_file_is_refused(aws_lambda: Lambda) -> None:
    aws_lambda.put(ECHO)
    newer = aws_lambda.functions.named("task").model_copy(update={"code_sha256": code_sha256(b"nothing")})
    with pytest.raises(ValueError, match="Could not unzip"):
        aws_lambda.functions.put(newer, b"nothing")
    assert aws_lambda.invoke(2)[0]["event"] == 2, "what was there before goes on running"


def test_credentials_are_in_no_file_of_the_function(aws_lambda: Lambda) -> None:
    aws_lambda.put("import os\ndef handle(event, context):\n    return os.environ['AWS_SESSION_TOKEN']\n")
    token, failed = aws_lambda.invoke()
    assert not failed
    for path in (aws_lambda.folder / "functions").rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert token not in path.read_text(errors="replace"), path
