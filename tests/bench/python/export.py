"""Exports a CSV file to a Klaviyo list on Klaviyo's own SDK; see ../README.md."""

import argparse
import csv
import json
import os
import resource
import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from itertools import islice

from klaviyo_api import KlaviyoAPI

BATCH = 10_000
IN_FLIGHT = 4


def present(values: dict) -> dict:
    return {name: value for name, value in values.items() if value not in ("", None)}


def number(cell: str, kind: type) -> int | float | None:
    return kind(cell) if cell else None


def to_profile(row: dict[str, str]) -> dict:
    location = present({"city": row["city"], "country": row["country"]})
    properties = present(
        {
            "customer_id": row["customer_id"],
            "loyalty_tier": row["loyalty_tier"],
            "lifetime_value": number(row["lifetime_value"], float),
            "orders": number(row["orders"], int),
            "last_purchase": row["last_purchase"],
        }
    )
    attributes = present(
        {
            "email": row["email"],
            "phone_number": row["phone"],
            "first_name": row["first_name"],
            "last_name": row["last_name"],
        }
    )
    return {
        "type": "profile",
        "attributes": {**attributes, "location": location, "properties": properties},
    }


def to_job(profiles: list[dict], list_id: str) -> dict:
    return {
        "data": {
            "type": "profile-bulk-import-job",
            "attributes": {"profiles": {"data": profiles}},
            "relationships": {"lists": {"data": [{"type": "list", "id": list_id}]}},
        }
    }


def batches_of(rows: Iterator[dict[str, str]]) -> Iterator[list[dict]]:
    while batch := [to_profile(row) for row in islice(rows, BATCH)]:
        yield batch


class RequestCount:
    """Counts what the SDK's HTTP client sends, retries included."""

    def __init__(self, client: KlaviyoAPI) -> None:
        self.requests = 0
        self._lock = threading.Lock()
        self._send = client.api_client.rest_client.request
        client.api_client.rest_client.request = self._request

    def _request(self, *args, **kwargs):
        with self._lock:
            self.requests += 1
        return self._send(*args, **kwargs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", required=True)
    parser.add_argument("--list", required=True, dest="list_id")
    parser.add_argument("--base-url", default="https://a.klaviyo.com")
    args = parser.parse_args()

    client = KlaviyoAPI(
        os.environ.get("KLAVIYO_API_KEY", "pk_bench"), test_host=args.base_url.rstrip("/")
    )
    count = RequestCount(client)
    bulk_import = client.Profiles.bulk_import_profiles

    started = time.monotonic()
    rows = batches = 0
    in_flight = set()
    with (
        open(args.file, newline="", encoding="utf-8-sig") as file,
        ThreadPoolExecutor(IN_FLIGHT) as pool,
    ):
        for batch in batches_of(csv.DictReader(file)):
            if len(in_flight) == IN_FLIGHT:
                done, in_flight = wait(in_flight, return_when=FIRST_COMPLETED)
                for sent in done:
                    sent.result()
            in_flight.add(pool.submit(bulk_import, to_job(batch, args.list_id)))
            rows += len(batch)
            batches += 1
        for sent in in_flight:
            sent.result()

    usage = resource.getrusage(resource.RUSAGE_SELF)
    report = {
        "rows": rows,
        "batches": batches,
        "requests": count.requests,
        "seconds": round(time.monotonic() - started, 3),
        "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
