"""Drives a Klaviyo at the given URL with Klaviyo's own SDK, as a customer's script would."""

import sys
import time
from urllib.parse import parse_qs, urlsplit

from klaviyo_api import KlaviyoAPI
from openapi_client.exceptions import ApiException

LIST = "LIST01"
GOOD = [f"person{n}@example.com" for n in range(25)]
BAD = "importfail@example.com"


def import_body(emails):
    return {
        "data": {
            "type": "profile-bulk-import-job",
            "attributes": {
                "profiles": {
                    "data": [
                        {
                            "type": "profile",
                            "attributes": {
                                "email": email,
                                "first_name": "Ann",
                                "properties": {"source": "sdk"},
                            },
                        }
                        for email in emails
                    ]
                }
            },
            "relationships": {"lists": {"data": [{"type": "list", "id": LIST}]}},
        }
    }


def check(wanted, got):
    assert wanted == got, f"wanted {wanted!r}, got {got!r}"


def wait_for(api, job_id, seconds=20):
    """Polls as the documents advise; the SDK itself waits when it is throttled."""
    seen = set()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        job = api.Profiles.get_bulk_import_profiles_job(job_id).data
        seen.add(job.attributes.status)
        if job.attributes.status == "complete":
            return job.attributes, seen
        time.sleep(0.02)
    raise AssertionError(f"the job never completed, it was {seen}")


def accounts(api):
    for _ in range(2):  # one a second: the second call is throttled, and the SDK retries
        account = api.Accounts.get_accounts().data[0]
    check("SIMULA", account.id)
    check("SIMULA", account.attributes.public_api_key)


def lists(api):
    made = api.Lists.create_list({"data": {"type": "list", "attributes": {"name": "From SDK"}}})
    check("From SDK", made.data.attributes.name)
    names = {item.attributes.name for item in api.Lists.get_lists().data}
    check({"Segue demo", "From SDK"}, names)
    api.Lists.delete_list(made.data.id)
    first = api.Lists.get_lists(page_size=1)
    check([LIST], [item.id for item in first.data])


def refused_import(api):
    try:
        api.Profiles.bulk_import_profiles(import_body([GOOD[0], "x!@example.com"]))
    except ApiException as error:
        check(400, error.status)
        assert "/data/attributes/profiles/data/1/attributes/email" in error.body, error.body
    else:
        raise AssertionError("an import with an invalid address was accepted")


def imports(api):
    job_id = api.Profiles.bulk_import_profiles(import_body(GOOD + [BAD])).data.id
    attributes, seen = wait_for(api, job_id)
    assert seen - {"complete"}, "the job was never seen queued or processing"
    counts = (attributes.total_count, attributes.completed_count, attributes.failed_count)
    check((26, 25, 1), counts)

    errors = api.Profiles.get_errors_for_bulk_import_profiles_job(job_id).data
    check(["invalid"], [error.attributes.code for error in errors])
    check(BAD, errors[0].attributes.original_payload["email"])

    in_lists = api.Profiles.get_list_for_bulk_import_profiles_job(job_id).data
    check([LIST], [item.id for item in in_lists])
    jobs = api.Profiles.get_bulk_import_profiles_jobs(
        filter='any(status,["complete"])', sort="-created_at", page_size=100
    ).data
    check([job_id], [job.id for job in jobs])


def members(api):
    found, cursor = [], None
    while True:
        page = api.Lists.get_profiles_for_list(LIST, page_size=10, page_cursor=cursor)
        found += [profile.attributes.email for profile in page.data]
        if page.links.next is None:
            break
        # The SDK takes a cursor out of a link only if the link is https.
        cursor = parse_qs(urlsplit(page.links.next).query)["page[cursor]"][0]
    check(sorted(GOOD), sorted(found))


def main():
    api = KlaviyoAPI("pk_sim", max_delay=5, max_retries=3, test_host=sys.argv[1])
    for part in (accounts, lists, refused_import, imports, members):
        part(api)
        print(part.__name__)
    print("all done")


main()
