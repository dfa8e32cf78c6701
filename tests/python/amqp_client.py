"""A client that has none of Segue's code: it starts a run by a JSON message and follows it on the events.

usage: amqp_client.py AMQP_URL PREFIX EXPORT
Prints one JSON object: the routing keys of the run's events in order, the last event, and what came of a command that
cannot be obeyed.
"""

import json
import sys
import uuid

import pika

DEADLINE = 120


def main():
    url, prefix, export = sys.argv[1:]
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    queue = channel.queue_declare("", exclusive=True).method.queue
    channel.queue_bind(queue, f"{prefix}.events", "#")

    def command(key, body):
        channel.basic_publish(
            f"{prefix}.commands",
            key,
            json.dumps(body).encode(),
            pika.BasicProperties(content_type="application/json", delivery_mode=2),
            mandatory=True,
        )

    request, wrong = str(uuid.uuid4()), str(uuid.uuid4())
    start = {"schema": 1, "start_run": {"export_id": export, "request_id": request}}
    command("run.start", start)
    command("run.start", start)  # twice: still one run
    command("run.start", {"schema": 1, "start_run": {"export_id": "no such export", "request_id": wrong}})

    run, keys, last, refused, seqs, over = None, [], None, None, [], False
    for method, properties, body in channel.consume(queue, auto_ack=True, inactivity_timeout=DEADLINE):
        assert method is not None, f"nothing was heard for {DEADLINE} s; until then: {keys}"
        assert properties.content_type == "application/json", properties.content_type
        event = json.loads(body)
        if method.routing_key == "command.rejected" and event.get("request_id") == wrong:
            refused = event
        if run is None and event.get("request_id") == request:
            run = event["run_id"]
        if run is not None and event.get("run_id") == run:
            keys.append(method.routing_key)
            seqs.append(int(event["seq"]))
            last = event
        # Counts and state of an event are those of the moment in which it is told: an event of a batch may
        # know already how the run ended.
        ended = method.routing_key in ("run.succeeded", "run.completed_with_rejects", "run.failed", "run.cancelled")
        over = over or (ended and run is not None and event.get("run_id") == run)
        if over and refused is not None:
            break
    assert seqs == sorted(seqs), seqs
    connection.close()
    json.dump({"run": run, "keys": keys, "last": last, "rejected": refused}, sys.stdout)


main()
