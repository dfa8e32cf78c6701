//! Every code that a user can meet has words, a fix on the page of reasons, and a test that meets it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use segue_model::{FailReason, RefusalReason, RejectReason, UndeliveredReason, WarningReason};

use crate::harness::{Services, Sim};

const REJECTS: &str = "tests/tests/it/export_rejects.rs";
const OUTCOMES: &str = "tests/tests/it/export_outcomes.rs";
const GUARDS: &str = "tests/tests/it/export_guards.rs";
const GUARDED: &str = "crates/control-plane/src/tests/admin/guards.rs";
const JOBS: &str = "tests/tests/it/faults_jobs.rs";
const REFUSALS: &str = "tests/tests/it/faults_refusals.rs";
const PLANS: &str = "tests/tests/it/worker_plans.rs";
const ENDINGS: &str = "crates/control-plane/src/tests/endings.rs";
const DEAD: &str = "crates/control-plane/src/tests/dead.rs";

/// A code, and a test that meets it: its file and its function, in which the code stands.
struct Met(&'static str, &'static str, &'static str);

const CSV: &str = "each_bad_row_of_csv_is_rejected_with_its_position_and_reason";
const FIELDS: &str = "bad_fields_are_left_out_with_a_warning_and_the_person_goes";

const REJECT: &[Met] = &[
    Met("email_missing", REJECTS, CSV),
    Met("email_invalid", REJECTS, CSV),
    Met("email_too_long", REJECTS, CSV),
    Met("external_id_too_long", REJECTS, CSV),
    Met("profile_too_large", REJECTS, CSV),
    Met("row_ragged", REJECTS, CSV),
    Met("row_not_utf8", REJECTS, CSV),
    Met("row_has_nul", REJECTS, CSV),
    Met("row_too_large", REJECTS, CSV),
    Met("quote_unclosed", REJECTS, CSV),
    Met("quote_misplaced", REJECTS, CSV),
    Met(
        "json_invalid",
        REJECTS,
        "each_bad_line_of_ndjson_is_rejected_with_its_position_and_reason",
    ),
    Met(
        "refused_by_klaviyo",
        REFUSALS,
        "rows_that_klaviyo_names_are_left_out_and_the_rest_is_sent",
    ),
    Met(
        "import_failed",
        OUTCOMES,
        "rows_that_klaviyo_refuses_or_fails_to_import_are_rejects_in_klaviyos_words",
    ),
    Met(
        "identifier_conflict",
        OUTCOMES,
        "address_of_one_profile_with_the_external_id_of_another_is_an_identifier_conflict",
    ),
];

const WARNING: &[Met] = &[
    Met("phone_invalid", REJECTS, FIELDS),
    Met("phone_not_international", REJECTS, FIELDS),
    Met("latitude_invalid", REJECTS, FIELDS),
    Met("longitude_invalid", REJECTS, FIELDS),
    Met("locale_invalid", REJECTS, FIELDS),
    Met("timezone_invalid", REJECTS, FIELDS),
    Met("ip_invalid", REJECTS, FIELDS),
    Met(
        "type_mismatch",
        "tests/tests/it/export_mapping.rs",
        "late_cell_that_does_not_fit_its_column_is_left_out_with_a_warning",
    ),
    Met(
        "reserved_name",
        "tests/tests/it/export_mapping.rs",
        "column_that_begins_with_a_dollar_sign_is_not_sent_and_the_screen_says_so",
    ),
    Met(
        "unknown_column",
        "tests/tests/it/export_sources.rs",
        "key_that_first_occurs_after_ten_thousand_rows_is_not_sent_with_a_warning",
    ),
    Met(
        "duplicate_differs",
        REJECTS,
        "first_row_that_passes_wins_and_a_duplicate_with_other_values_is_a_warning",
    ),
];

const FAIL: &[Met] = &[
    Met("undelivered", ENDINGS, "what_klaviyo_cannot_name_is_undelivered_and_never_a_reject"),
    Met(
        "list_not_found",
        REFUSALS,
        "list_that_is_deleted_in_mid_run_fails_the_run_and_nothing_is_split",
    ),
    Met("key_refused", REFUSALS, "key_that_is_revoked_in_mid_run_fails_the_run_at_once"),
    Met("scope_missing", REFUSALS, "scope_that_is_missing_for_imports_is_named"),
    Met("live_flows", PLANS, "live_flow_fails_the_run_unless_it_is_wanted"),
    Met(
        "account_changed",
        REFUSALS,
        "key_that_is_moved_to_another_account_in_mid_run_fails_the_run",
    ),
    Met("revision_retired", "tests/tests/it/reasons.rs", RETIRED),
    Met("request_refused", ENDINGS, "budget_of_splits_is_never_overdrawn"),
    Met("source_changed", "tests/tests/it/faults_source.rs", "failed_as_source_changed"),
    Met("source_unreadable", PLANS, "source_that_cannot_be_used_fails_the_run_in_words"),
    Met("segment_empty", GUARDS, "segment_without_rows_fails_unless_it_may_be_empty"),
    Met("too_many_profiles", GUARDS, "more_profiles_than_max_profiles_send_nothing"),
    Met("grew_too_much", GUARDED, "run_past_a_guard_sends_nothing_and_says_which"),
    Met("shrank_too_much", GUARDED, "run_past_a_guard_sends_nothing_and_says_which"),
    Met("too_many_rejects", GUARDED, "run_past_a_guard_sends_nothing_and_says_which"),
    Met("source_stale", GUARDED, "scheduled_run_waits_for_a_younger_source_and_then_fails"),
    Met("staging_failed", PLANS, "batch_that_is_gone_from_staging_fails_the_run"),
    Met("retry_expired", PLANS, "retry_of_what_is_gone_or_of_another_list_sends_nothing"),
    Met(
        "read_not_repeatable",
        "crates/control-plane/src/tests/claims.rs",
        "other_batch_under_a_known_number_fails_the_run",
    ),
    Met("deadline_passed", ENDINGS, "run_ends_at_its_deadline_with_words"),
    Met("job_dropped", DEAD, "run_whose_reading_is_dropped_fails_and_says_so"),
];

const UNDELIVERED: &[Met] = &[
    Met(
        "pending",
        ENDINGS,
        "what_klaviyo_never_confirms_is_given_up_in_time_and_still_taken_if_it_comes",
    ),
    Met(
        "gave_up",
        "crates/control-plane/src/tests/claims.rs",
        "batch_is_tried_again_with_growing_waits_and_given_up_after_an_hour",
    ),
    Met(
        "unconfirmed",
        JOBS,
        "accepted_batch_that_klaviyo_never_confirms_is_undelivered_and_fails_the_run",
    ),
    Met("cancelled_by_klaviyo", JOBS, "job_that_klaviyo_cancels_is_undelivered_and_fails_the_run"),
    Met(
        "unattributed_failure",
        JOBS,
        "failures_that_klaviyo_counts_and_does_not_name_are_undelivered_and_never_rejects",
    ),
    Met("not_sent", ENDINGS, "nothing_is_ever_sent_of_a_segment_with_too_many_profiles"),
    Met(
        "maybe_sent",
        ENDINGS,
        "batch_of_which_nobody_knows_is_not_called_unsent_when_the_run_is_cancelled",
    ),
    Met(
        "job_dead",
        DEAD,
        "job_whose_message_died_is_announced_again_and_its_batch_given_up_after_an_hour",
    ),
    Met("job_dropped", DEAD, "dropped_batch_is_undelivered_and_the_run_ends_without_it"),
];

const REFUSAL: &[Met] = &[
    Met("malformed", COMMANDS, "message_is_settled_after_its_wish_is_committed"),
    Met("no_such_export", COMMANDS, NOT_OBEYED),
    Met("no_such_run", COMMANDS, NOT_OBEYED),
    Met("request_id_used", COMMANDS, NOT_OBEYED),
    Met("run_under_way", COMMANDS, NOT_OBEYED),
    Met("used_by_export", CONNECTIONS, "connection_in_use_is_not_deleted"),
    Met("used_by_run", CONNECTIONS, "connection_in_use_is_not_deleted"),
    Met("revision_retired", CONNECTIONS, "revision_that_is_retired_is_nothing_that_a_key_can_help"),
    Met("key_refused", LISTS, "key_that_cannot_be_used_says_so_on_each_export"),
    Met("scope_missing", LISTS, "scope_that_is_missing_is_named"),
    Met("account_changed", LISTS, "key_that_was_moved_shows_no_list_of_the_other_account"),
    Met("list_exists", LISTS, "list_is_made_once_for_each_request"),
    Met("connection_deleted", RUNS, "run_that_could_not_be_sent_does_not_begin"),
    Met(
        "no_connection",
        RIGHTS,
        "connection_that_is_removed_stops_its_runs_and_leaves_its_exports",
    ),
    Met("export_disabled", RIGHTS, "disabled_export_runs_neither_by_itself_nor_when_asked_to"),
    Met(
        "export_changed",
        COLUMNS,
        "columns_that_were_found_for_what_the_export_said_before_are_refused",
    ),
    Met("owner_lost", RIGHTS, "scheduled_run_acts_for_the_owner_and_stops_when_they_may_no_more"),
    Met("key_unreadable", COMMANDS, "key_of_another_master_key_starts_nothing"),
    Met("not_of_an_export", RETRIES, "retry_needs_the_export"),
    Met("export_deleted", RETRIES, "retry_needs_the_export"),
    Met("retried", RETRIES, "retry_sends_what_was_left_as_it_was_staged"),
    Met("not_read", RETRIES, "run_without_anything_to_send_again_is_not_retried"),
    Met("nothing_to_retry", RETRIES, "run_without_anything_to_send_again_is_not_retried"),
    Met("retry_window_passed", RETRIES, "retry_comes_too_late_after_a_day"),
    Met("batches_lost", RETRIES, "batches_that_are_lost_are_not_retried"),
    Met("no_job", DEAD, "message_that_nobody_can_read_is_listed_without_anything_that_it_says"),
    Met("job_over", DEAD, "nothing_can_be_done_for_a_job_that_is_over_but_to_forget_it"),
    Met("confirm_job", DEAD, "job_that_confirms_is_requeued_and_never_dropped"),
];

const COMMANDS: &str = "crates/control-plane/src/tests/admin/commands.rs";
const CONNECTIONS: &str = "crates/control-plane/src/tests/admin/connections.rs";
const LISTS: &str = "crates/control-plane/src/tests/admin/lists.rs";
const RETRIES: &str = "crates/control-plane/src/tests/admin/retries.rs";
const COLUMNS: &str = "crates/control-plane/src/tests/admin/columns.rs";
const RIGHTS: &str = "crates/control-plane/src/tests/admin/rights.rs";
const RUNS: &str = "crates/control-plane/src/tests/admin/runs.rs";
const NOT_OBEYED: &str = "what_cannot_be_obeyed_is_answered_with_the_id_of_its_request";
const RETIRED: &str = "revision_that_klaviyo_retires_fails_the_run_and_keeps_keys_out";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A code, what it means, and what to do.
type Words = [&'static str; 3];

/// All codes with their words and what to do, and the tests that meet them.
fn all() -> Vec<(&'static str, Vec<Words>, &'static [Met])> {
    macro_rules! codes {
        ($reason:ident) => {
            $reason::ALL.iter().map(|it| [it.code(), it.meaning(), it.fix()]).collect()
        };
    }
    vec![
        ("Rejects", codes!(RejectReason), REJECT),
        ("Warnings", codes!(WarningReason), WARNING),
        ("Failures", codes!(FailReason), FAIL),
        ("Undelivered", codes!(UndeliveredReason), UNDELIVERED),
        ("Refusals", codes!(RefusalReason), REFUSAL),
    ]
}

#[test]
fn page_of_reasons_has_each_code_with_what_to_do_and_no_other() {
    let page = fs::read_to_string(root().join("docs/reasons.md")).unwrap();
    let mut sections: BTreeMap<&str, Vec<[&str; 3]>> = BTreeMap::new();
    let mut section = "";
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            section = title.split(':').next().unwrap();
        }
        let cells: Vec<&str> = line.split(" | ").collect();
        if let ([code, meaning, fix], true) = (&cells[..], line.starts_with("| `")) {
            let code = code.trim_start_matches("| `").trim_end_matches('`');
            sections.entry(section).or_default().push([code, meaning, fix.trim_end_matches(" |")]);
        }
    }
    let wanted: BTreeMap<&str, Vec<[&str; 3]>> =
        all().into_iter().map(|(section, codes, _)| (section, codes)).collect();
    assert_eq!(sections, wanted);
    for [code, meaning, fix] in wanted.into_values().flatten() {
        assert!(meaning.len() > 10 && fix.len() > 4, "{code} has no words");
    }
}

#[test]
fn each_code_is_met_by_a_test() {
    for (section, codes, met) in all() {
        let codes: Vec<&str> = codes.into_iter().map(|[code, ..]| code).collect();
        let named: Vec<&str> = met.iter().map(|Met(code, ..)| *code).collect();
        assert_eq!(named, codes, "{section}: each code, and the test that meets it, in this order");
        for Met(code, file, test) in met {
            let text = fs::read_to_string(root().join(file)).unwrap();
            let body = body_of(&text, test).unwrap_or_else(|| panic!("{file} has no {test}"));
            let forms = [(*code).to_owned(), code.to_ascii_uppercase(), camel(code)];
            assert!(forms.iter().any(|form| body.contains(form)), "{code} is not in {test}");
        }
    }
}

/// From the name of a function of a file to the end of the function.
fn body_of<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let begin = text.find(&format!("fn {name}("))?;
    text[begin..].split("\n}\n").next()
}

/// `row_ragged` becomes `RowRagged`.
fn camel(code: &str) -> String {
    let upper = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    code.split('_').map(upper).collect()
}

/// What the control-plane calls an obstacle, and what it answers to commands.
#[test]
fn control_plane_refuses_with_no_code_that_has_no_words() {
    let folder = root().join("crates/control-plane/src");
    let known: BTreeSet<String> =
        RefusalReason::ALL.iter().map(|reason| reason.code().to_owned()).collect();
    let mut used = BTreeSet::new();
    for path in sources(&folder) {
        let text = fs::read_to_string(&path).unwrap();
        // What begins so is a variable.
        let is_code = |text: &&str| {
            text.len() > 3
                && !text.starts_with("SEGUE_")
                && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        };
        used.extend(text.split('"').filter(is_code).map(str::to_ascii_lowercase));
    }
    let commands = fs::read_to_string(folder.join("commands.rs")).unwrap();
    let answers = body_of(&commands, "code").unwrap();
    // Every other piece is in quotes.
    used.extend(answers.split('"').skip(1).step_by(2).map(str::to_ascii_lowercase));
    used.insert("malformed".to_owned());
    // What nobody meets: a mapping is checked when its export is saved, a command that can be obeyed later
    // waits, an obstacle is never without a name, and a command acts for Segue itself, which may everything.
    for never in ["invalid", "unreachable", "blocked", "denied"] {
        assert!(used.remove(never), "{never} is no code any more: forget it here");
    }
    assert!(used.remove("no_such_{thing}"));
    used.extend(["no_such_export", "no_such_run"].map(str::to_owned));
    assert_eq!(used, known);
}

/// The files of a folder and below it, but for tests.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let paths = paths.filter(|path| !path.ends_with("tests"));
    paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] }).collect()
}

#[test]
fn revision_that_klaviyo_retires_fails_the_run_and_keeps_keys_out() {
    let sim = Sim::free();
    let mut services = Services::together(&sim);
    fs::write(services.source().join("people.csv"), "email\nann@example.com\n").unwrap();
    let export = services.export("people.csv");
    services.restart_with("serve", &[("SEGUE_KLAVIYO_REVISION", "2023-07-15")]);
    services.await_ready();
    let run = services.ended(&services.start_run(&export));
    assert_eq!(run["failure"]["reason"], "revision_retired", "{run}");
    assert_eq!(sim.writes(), []);
    let connect = ["connections", "create", "--display-name", "Second", "--accept-consent"];
    let (code, _, words) = services.ask_for(&connect);
    assert!(code != Some(0) && words.contains("has retired the revision"), "{code:?}: {words}");
}
