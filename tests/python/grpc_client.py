"""A client that has none of Segue's code: it learns the services by reflection.

Creates a connection and an export, starts a run, watches it to its end, and lists its rejects.
usage: grpc_client.py CONTROL_PLANE STATUS TOKEN_FILE API_KEY LIST SEGMENT
Prints one JSON object: the run as last seen, the states in order, and the rejects.
"""

import json
import sys
import uuid

import grpc
from google.protobuf import json_format
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

DEADLINE = 120


class Service:
    """A service of a server, as the server itself describes it."""

    def __init__(self, channel, name, token):
        database = ProtoReflectionDescriptorDatabase(channel)
        assert name in database.get_services(), f"{name} is not among {list(database.get_services())}"
        self.channel = channel
        self.name = name
        self.metadata = [("authorization", f"Bearer {token}")]
        self.descriptor = DescriptorPool(database).FindServiceByName(name)

    def _method(self, name, kind):
        method = self.descriptor.FindMethodByName(name)
        request = GetMessageClass(method.input_type)
        call = kind(
            f"/{self.name}/{name}",
            request_serializer=request.SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
        return request, call

    def call(self, name, **fields):
        request, call = self._method(name, self.channel.unary_unary)
        return call(json_format.ParseDict(fields, request()), timeout=DEADLINE, metadata=self.metadata)

    def stream(self, name, **fields):
        request, call = self._method(name, self.channel.unary_stream)
        return call(json_format.ParseDict(fields, request()), timeout=DEADLINE, metadata=self.metadata)


def plain(message):
    return json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )


def main():
    control_plane, status, token, key, list_id, segment = sys.argv[1:]
    with open(token) as file:
        token = file.read().strip()
    control_plane, status = grpc.insecure_channel(control_plane), grpc.insecure_channel(status)
    connections = Service(control_plane, "segue.v1.ConnectionService", token)
    exports = Service(control_plane, "segue.v1.ExportService", token)
    runs = Service(control_plane, "segue.v1.RunService", token)
    told = Service(status, "segue.v1.StatusService", token)

    # Without consent nothing is saved, and the refusal names the field.
    try:
        connections.call("CreateConnection", connection={"display_name": "none", "api_key": key})
    except grpc.RpcError as error:
        assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, error
        assert "connection.consent" in error.details() + str(error.trailing_metadata()), error
    else:
        raise AssertionError("a connection without consent was saved")

    consent = {"text_version": "2026-11", "accepted_by": "test"}
    connection = connections.call(
        "CreateConnection",
        connection={"display_name": "Sample", "api_key": key, "consent": consent},
        request_id=str(uuid.uuid4()),
    ).connection
    assert connection.account_id and not connection.api_key
    export = exports.call(
        "CreateExport",
        export={
            "display_name": "Everyone",
            "connection_id": connection.id,
            "list_id": list_id,
            "segments": [segment],
        },
        request_id=str(uuid.uuid4()),
    ).export
    request_id = str(uuid.uuid4())
    run = runs.call("StartRun", export_id=export.id, request_id=request_id).run
    again = runs.call("StartRun", export_id=export.id, request_id=request_id).run
    assert again.id == run.id, "the same request started two runs"

    states, last = [], None
    for reply in told.stream("WatchRun", run_id=run.id):
        last = plain(reply.run)
        if not states or states[-1] != last["state"]:
            states.append(last["state"])
    rejects = [plain(row) for reply in told.stream("ListRejects", run_id=run.id) for row in reply.rows]
    listed = told.call("ListRuns", export_id=export.id).runs
    assert [one.id for one in listed] == [run.id]
    json.dump({"export": export.id, "run": last, "states": states, "rejects": rejects}, sys.stdout)


main()
